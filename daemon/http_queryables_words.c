/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_queryables.h"

#include <string.h>

static const struct {
    const char *name;
    const char *title[2];
} titles[] = {
    {"id", {"Id", "Id"}},
    {"collection", {"Samling", "Collection"}},
    {"origin", {"Ursprung", "Origin"}},
    {"name", {"Namn", "Name"}},
    {"description", {"Beskrivning", "Description"}},
    {"themes", {"Teman", "Themes"}},
    {"geometry", {"Plats", "Place"}},
    {"address", {"Adress", "Address"}},
    {"address.street", {"Gatuadress", "Street"}},
    {"address.postalCode", {"Postnummer", "Postal code"}},
    {"address.locality", {"Postort", "Postal town"}},
    {"municipality", {"Kommunkod", "Municipality code"}},
    {"countryCode", {"Landskod", "Country code"}},
    {"area", {"Område", "Area"}},
    {"validFrom", {"Gäller från", "Valid from"}},
    {"validThrough", {"Gäller till och med", "Valid through"}},
    {"provider", {"Vem som står bakom", "Provider"}},
    {"networks", {"Nätverk", "Networks"}},
    {"url", {"Webbsida", "Web page"}},
    {"image", {"Bild", "Picture"}},
    {"image.url", {"Bildens adress", "Picture's address"}},
    {"image.alt", {"Vad bilden visar", "What the picture shows"}},
    {"image.sha256", {"Bildens kontrollsumma", "Picture's checksum"}},
    {"contact", {"Kontakt", "Contact"}},
    {"identifiers", {"Andras beteckningar", "Identifiers"}},
    {"identifiers.organisationNumber", {"Organisationsnummer", "Organisation number"}},
    {"identifiers.jobtech", {"JobTech-id", "JobTech id"}},
    {"identifiers.ssyk", {"SSYK", "SSYK"}},
    {"identifiers.sni.code", {"SNI", "SNI"}},
    {"identifiers.sni.version", {"SNI:s utgåva", "SNI edition"}},
    {"identifiers.geonames", {"GeoNames-id", "GeoNames id"}},
    {"identifiers.wikidata", {"Wikidata", "Wikidata"}},
    {"identifiers.source.system", {"Källsystem", "Source system"}},
    {"identifiers.source.id", {"Id i källsystemet", "Id in the source system"}},
    {"serves", {"Verksamhetsområde", "Service area"}},
    {"itinerary", {"Resplan", "Itinerary"}},
    {"qualifications", {"Kompetenser och intyg", "Qualifications"}},
    {"openingHours", {"Öppettider", "Opening hours"}},
    {"kind", {"Slag", "Kind"}},
    {"price", {"Pris", "Price"}},
    {"price.amount", {"Pris", "Price"}},
    {"price.currency", {"Valuta", "Currency"}},
    {"priceUnit", {"Prisenhet", "Price unit"}},
    {"booking", {"Bokning", "Booking"}},
    {"booking.url", {"Bokningssida", "Booking page"}},
    {"booking.capacity", {"Antal platser", "Capacity"}},
    {"booking.remaining", {"Platser kvar", "Places left"}},
    {"start", {"Börjar", "Begins"}},
    {"end", {"Slutar", "Ends"}},
    {"recurrence", {"Upprepning", "Recurrence"}},
    {"recurrence.rule", {"Upprepningsregel", "Recurrence rule"}},
    {"status", {"Läge", "Status"}},
    {"outcome", {"Utfall", "Outcome"}},
    {"occupation", {"Yrke", "Occupation"}},
    {"occupation.jobtech", {"Yrkets JobTech-id", "Occupation's JobTech id"}},
    {"occupation.ssyk", {"Yrkets SSYK", "Occupation's SSYK"}},
    {"employmentType", {"Anställningsform", "Employment type"}},
    {"applyBy", {"Sista ansökningsdag", "Apply by"}},
    {"competence", {"Kompetens", "Competence"}},
    {"competence.jobtech", {"Kompetensens JobTech-id", "Competence's JobTech id"}},
    {"competence.sun", {"SUN", "SUN"}},
    {"asker", {"Vem som behöver", "Who asks"}},
    {"statedIn", {"Källa", "Stated in"}},
    {"form", {"Lärandeform", "Form of learning"}},
    {"people", {"Antal personer", "People"}},
    {"urgency", {"När det behövs", "Urgency"}},
    {"mode", {"Var det ges", "Mode"}},
    {"language", {"Språk", "Language"}},
    {"credits", {"Poäng", "Credits"}},
    {"services", {"Tjänster", "Services"}},
    {"crisis", {"Vid kris", "In a crisis"}},
    {"crisis.power", {"Egen el", "Own electricity"}},
    {"crisis.heating", {"Kan hållas varm", "Can be kept warm"}},
    {"crisis.water", {"Dricksvatten", "Drinking water"}},
    {"crisis.communication", {"Når myndigheterna", "Reaches the authorities"}},
    {"crisis.opening", {"När det öppnas", "When it is opened"}},
    {"example", {"Exempel", "Example"}},
    {"movedTo", {"Flyttad till", "Moved to"}},
    {"created", {"Skapad", "Created"}},
    {"modified", {"Ändrad", "Modified"}},
};

const char *http_queryables_title(const char *name, enum http_language language)
{
    for (size_t i = 0; i < ARRAY_SIZE(titles); i++) {
        if (strcmp(titles[i].name, name) == 0)
            return titles[i].title[language];
    }
    return name;
}
