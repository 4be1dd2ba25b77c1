/* SPDX-License-Identifier: EUPL-1.2 */
#include <string.h>

#include "protocol/fold.h"
#include "protocol/listing_csv.h"

/*
 * What Swedish offices and spreadsheets call things. A column is not taken for
 * what it may mean, since "Kategori" may hold anything: the message names the
 * column, and a person decides.
 */
#define HEADING_BYTES_MAX 64

static const struct {
    const char *heading; /* folded, letters and digits only */
    const char *column;
} meanings[] = {
    {"namn", "name.sv"},
    {"foretag", "name.sv"},
    {"foretagsnamn", "name.sv"},
    {"benamning", "name.sv"},
    {"titel", "name.sv"},
    {"rubrik", "name.sv"},
    {"title", "name.sv"},
    {"beskrivning", "description.sv"},
    {"presentation", "description.sv"},
    {"information", "description.sv"},
    {"text", "description.sv"},
    {"kategori", "themes"},
    {"kategorier", "themes"},
    {"category", "themes"},
    {"tema", "themes"},
    {"teman", "themes"},
    {"bransch", "themes"},
    {"amne", "themes"},
    {"adress", "address.street"},
    {"gatuadress", "address.street"},
    {"besoksadress", "address.street"},
    {"gata", "address.street"},
    {"street", "address.street"},
    {"ort", "address.locality"},
    {"postort", "address.locality"},
    {"by", "address.locality"},
    {"stad", "address.locality"},
    {"city", "address.locality"},
    {"postnummer", "address.postalCode"},
    {"postnr", "address.postalCode"},
    {"postalcode", "address.postalCode"},
    {"zip", "address.postalCode"},
    {"kommun", "municipality"},
    {"kommunkod", "municipality"},
    {"kommunnr", "municipality"},
    {"land", "countryCode"},
    {"landskod", "countryCode"},
    {"latitud", "latitude"},
    {"breddgrad", "latitude"},
    {"longitud", "longitude"},
    {"langdgrad", "longitude"},
    {"long", "longitude"},
    {"telefon", "contact.telephone"},
    {"telefonnummer", "contact.telephone"},
    {"tel", "contact.telephone"},
    {"tfn", "contact.telephone"},
    {"mobil", "contact.telephone"},
    {"phone", "contact.telephone"},
    {"epost", "contact.email"},
    {"epostadress", "contact.email"},
    {"mail", "contact.email"},
    {"mejl", "contact.email"},
    {"email", "contact.email"},
    {"kontakt", "contact.name"},
    {"kontaktperson", "contact.name"},
    {"webbplats", "url"},
    {"webbsida", "url"},
    {"webb", "url"},
    {"hemsida", "url"},
    {"lank", "url"},
    {"website", "url"},
    {"www", "url"},
    {"bild", "image.url"},
    {"organisationsnummer", "identifiers.organisationNumber"},
    {"orgnummer", "identifiers.organisationNumber"},
    {"orgnr", "identifiers.organisationNumber"},
    {"kundnummer", "identifiers.source.id"},
    {"objektid", "identifiers.source.id"},
    {"objectid", "identifiers.source.id"},
    {"fid", "identifiers.source.id"},
    {"gallerfran", "validFrom"},
    {"gallertill", "validThrough"},
    {"giltigtill", "validThrough"},
    {"oppettider", "openingHours"},
    {"pris", "price.amount"},
    {"belopp", "price.amount"},
    {"valuta", "price.currency"},
    {"prisenhet", "priceUnit"},
    {"startdatum", "start"},
    {"starttid", "start"},
    {"datum", "start"},
    {"slut", "end"},
    {"slutdatum", "end"},
    {"sluttid", "end"},
    {"arrangor", "provider"},
    {"leverantor", "provider"},
    {"utforare", "provider"},
    {"soksenast", "applyBy"},
    {"sistaansokningsdag", "applyBy"},
    {"anstallningsform", "employmentType"},
    {"yrke", "occupation.ssyk"},
    {"sprak", "language"},
    {"poang", "credits"},
    {"antal", "people"},
    {"tjanster", "services"},
    {"exempel", "example"},
};

/* "E-post" -> "epost"; false if it is too long to be a heading. */
static bool heading_fold(struct span heading, char out[HEADING_BYTES_MAX + 1])
{
    struct buffer folded = {0};
    size_t size = 0;
    bool fits;

    fold_put(&folded, heading);
    fits = !folded.err && folded.size <= HEADING_BYTES_MAX;
    for (size_t i = 0; i < folded.size && fits; i++) {
        uint8_t c = folded.data[i];

        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c >= 0x80)
            out[size++] = (char)c;
    }
    buffer_done(&folded);
    out[size] = '\0';
    return fits;
}

const char *csv_column_meant(struct span heading)
{
    char folded[HEADING_BYTES_MAX + 1];

    if (!heading_fold(heading, folded))
        return NULL;
    for (size_t i = 0; i < ARRAY_SIZE(meanings); i++) {
        if (strcmp(meanings[i].heading, folded) == 0)
            return meanings[i].column;
    }
    return NULL;
}
