/* SPDX-License-Identifier: Apache-2.0
 *
 * The settings gateway and evidence_file (register_conf.h).
 */
#include "node/register_conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/net/upstream.h"
#include "proto/limits.h"

static enum err bad(const char *setting, const char *what)
{
	log_error("configuration", L_S("setting", setting), L_S("what", what));
	return ERR_CONFIG;
}

static enum err read_evidence(const char *path, struct buf *out)
{
	uint8_t piece[4096];
	FILE *f;
	size_t n;

	if (!*path)
		return ERR_OK;
	f = fopen(path, "rbe");
	if (!f)
		return bad("evidence_file", "cannot be read");
	while (out->n <= EVIDENCE_BYTES_MAX && (n = fread(piece, 1, sizeof(piece), f)) > 0)
		buf_add(out, piece, n);
	n = (size_t)ferror(f);
	fclose(f);
	if (n || out->n > EVIDENCE_BYTES_MAX)
		return bad("evidence_file", "cannot be read, or over 1 MiB");
	return ERR_OK;
}

static enum err add_url(struct register_conf *c, struct slice url)
{
	struct buf b = { 0 };

	if (c->n == GATEWAYS_MAX || url.n > URL_BYTES_MAX)
		return bad("gateway", "too many URLs, or one is too long");
	while (url.n && url.p[url.n - 1] == '/')
		url.n--;
	buf_add(&b, url.p, url.n);
	buf_add(&b, "/v1/nodes", sizeof("/v1/nodes"));
	c->urls[c->n++] = (char *)b.p;
	return upstream_url((char *)b.p) ? ERR_OK : bad("gateway", "not an http:// or https:// URL");
}

static enum err add_urls(struct register_conf *c, const char *list)
{
	enum err e = ERR_OK;

	for (const char *s = list; *s && e == ERR_OK;) {
		size_t len = strcspn(s, " \t,");

		if (len)
			e = add_url(c, slice_of(s, len));
		s += len ? len : 1;
	}
	return e;
}

enum err register_conf_read(const char *gateways, const char *evidence_file, struct register_conf *out)
{
	enum err e = read_evidence(evidence_file, &out->evidence);

	if (e == ERR_OK)
		e = add_urls(out, gateways);
	if (e != ERR_OK)
		register_conf_free(out);
	return e;
}

void register_conf_free(struct register_conf *c)
{
	for (unsigned i = 0; i < c->n; i++)
		free(c->urls[i]);
	buf_free(&c->evidence);
	c->n = 0;
}
