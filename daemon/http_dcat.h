/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_HTTP_DCAT_H
#define TORG_DAEMON_HTTP_DCAT_H

#include "daemon/http_router.h"

/*
 * /datasets/dcat at the host's root: this node's collections as a catalogue
 * (DCAT-AP-SE, RDF/XML), which dataportal.se harvests: each public collection
 * is a dataset with its GeoJSON and CSV, and the API is a data service.
 */
http_handler http_dcat;

#endif
