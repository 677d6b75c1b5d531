/* SPDX-License-Identifier: Apache-2.0
 *
 * GET /openapi.json and GET /docs: the same bytes for everybody, also while
 * there is no broker.  The page has no scripts and may load nothing.
 */
#include "gateway/openapi/openapi.h"

#include "gateway/serve.h"

void serve_openapi(struct call *c)
{
	call_document(c, SLICE_STR("application/json"), NULL, slice_of(openapi_json, openapi_json_n));
}

void serve_docs(struct call *c)
{
	call_document(c, SLICE_STR("text/html; charset=utf-8"), openapi_policy,
		      slice_of(openapi_page, openapi_page_n));
}
