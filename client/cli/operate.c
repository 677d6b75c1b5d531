/* SPDX-License-Identifier: Apache-2.0
 *
 * The operator's commands, by table: operands and options become the JSON
 * arguments of a verb, the reply becomes a table or lines.
 */
#include "client/cli/operate.h"

#include <stdio.h>
#include <string.h>

#include "client/cli/cli.h"
#include "proto/limits.h"

#define VALUES_MAX 16
#define NO_PRICE UINT64_MAX /* 0 is one: free */

struct options {
	struct admin_where where;
	const char *user, *reason;
	const char *model;
	uint64_t micro_usd, price, node, units_given;
	bool take, remove, off;
	const char *rate, *concurrent, *units;
};

static size_t add_args(struct options *o, unsigned which, struct arg *out)
{
	const struct arg user[] = { { "user", ARG_TEXT, &o->user, "NAME", "list: only this user's", 0, 0 } };
	const struct arg money[] = {
		{ "micro-usd", ARG_U64, &o->micro_usd, "N", "fund: millionths of a dollar", 1, ID_MAX },
		{ "take", ARG_FLAG, &o->take, NULL, "fund: take them off the balance instead", 0, 0 },
		{ "reason", ARG_TEXT, &o->reason, "TEXT", "fund: why, for the journal (default: operator)", 0,
		  0 },
	};
	const struct arg price[] = {
		{ "price", ARG_U64, &o->price, "N", "price: micro-USD per million units", 0, ID_MAX },
		{ "remove", ARG_FLAG, &o->remove, NULL, "price: forget the user's own price", 0, 0 },
	};
	const struct arg limits[] = {
		{ "rate", ARG_TEXT, &o->rate, "N", "limit: requests per minute, none, or default", 0, 0 },
		{ "concurrent", ARG_TEXT, &o->concurrent, "N", "limit: requests at once, none, or default", 0,
		  0 },
		{ "units-per-minute", ARG_TEXT, &o->units, "N",
		  "limit: units reserved per minute, none, or default", 0, 0 },
	};
	const struct arg node[] = { { "node", ARG_U64, &o->node, "N", "price: only at this node", 1,
				      ID_MAX } };
	const struct arg grant[] = {
		{ "node", ARG_U64, &o->node, "N", "grant: the node that it is for", 1, ID_MAX },
		{ "model", ARG_TEXT, &o->model, "NAME", "grant: the model that it is for", 0, 0 },
		{ "units", ARG_U64, &o->units_given, "N", "grant: how many", 1, ID_MAX },
		{ "reason", ARG_TEXT, &o->reason, "TEXT", "grant: why, for the journal (default: operator)",
		  0, 0 },
	};
	const struct arg off[] = { { "off", ARG_FLAG, &o->off, NULL, "drain: end draining", 0, 0 } };
	const struct arg where[] = { ADMIN_ARGS(&o->where) };
	const struct {
		unsigned bit;
		const struct arg *args;
		size_t n;
	} groups[] = { { OPT_USER, user, 1 },     { OPT_MONEY, money, 3 }, { OPT_PRICE, price, 2 },
		       { OPT_LIMITS, limits, 3 }, { OPT_NODE, node, 1 },   { OPT_OFF, off, 1 },
		       { OPT_GRANT, grant, 4 },   { ~0u, where, 3 } };
	size_t n = 0;

	for (size_t g = 0; g < sizeof(groups) / sizeof(groups[0]); g++) {
		if (!(which & groups[g].bit) && groups[g].bit != ~0u)
			continue;
		memcpy(out + n, groups[g].args, groups[g].n * sizeof(*out));
		n += groups[g].n;
	}
	return n;
}

static bool put_operands(const struct verb *v, const char *const *words, size_t n, json_t *out)
{
	uint64_t number;

	if (n != strlen(v->kinds))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (v->kinds[i] == 's')
			json_object_set_new(out, v->names[i], json_string(words[i]));
		else if (args_number(words[i], &number))
			json_object_set_new(out, v->names[i], json_integer((json_int_t)number));
		else
			return false;
	}
	return true;
}

/* "none" is 0, "default" is null; false when the text is nothing of the kind. */
static bool put_limit(json_t *out, const char *name, const char *text)
{
	uint64_t n = 0;

	if (!text)
		return true;
	if (!strcmp(text, "default"))
		return json_object_set_new(out, name, json_null()) == 0;
	if (strcmp(text, "none") && !args_number(text, &n)) {
		fprintf(stderr, "sealway: --%s: a number, none or default, not \"%s\"\n", name, text);
		return false;
	}
	return json_object_set_new(out, name, json_integer((json_int_t)n)) == 0;
}

static bool put_limits(const struct options *o, json_t *out)
{
	return put_limit(out, "rate", o->rate) && put_limit(out, "concurrent", o->concurrent) &&
	       put_limit(out, "units_per_minute", o->units);
}

static void put_grant(const struct options *o, json_t *out)
{
	json_object_set_new(out, "node", json_integer((json_int_t)o->node));
	json_object_set_new(out, "model", json_string(o->model));
	json_object_set_new(out, "units", json_integer((json_int_t)o->units_given));
	json_object_set_new(out, "reason", json_string(o->reason));
}

/* Exactly one of the two: a price that was forgotten must not become 0. */
static bool put_price(const struct options *o, json_t *out)
{
	if ((o->price == NO_PRICE) != o->remove)
		return false;
	json_object_set_new(out, "price", o->remove ? json_null() : json_integer((json_int_t)o->price));
	return true;
}

/* The option that the verb needs and that was not given; NULL: all are there. */
static const char *missing(const struct verb *v, const struct options *o)
{
	if (v->options & OPT_MONEY && !o->micro_usd)
		return "--micro-usd";
	if (v->options & OPT_PRICE && o->price == NO_PRICE && !o->remove)
		return "--price, or --remove,";
	if (v->options & OPT_LIMITS && !o->rate && !o->concurrent && !o->units)
		return "one of --rate, --concurrent and --units-per-minute";
	if (v->options & OPT_GRANT && !o->node)
		return "--node";
	if (v->options & OPT_GRANT && !o->model)
		return "--model";
	return v->options & OPT_GRANT && !o->units_given ? "--units" : NULL;
}

/* False for options that do not go together, and for what is no limit. */
static bool put_options(const struct verb *v, const struct options *o, json_t *out)
{
	json_int_t money = (json_int_t)o->micro_usd;

	if (v->options & OPT_USER && o->user)
		json_object_set_new(out, "user", json_string(o->user));
	if (v->options & OPT_NODE && o->node)
		json_object_set_new(out, "node", json_integer((json_int_t)o->node));
	if (v->options & OPT_OFF)
		json_object_set_new(out, "on", json_boolean(!o->off));
	if (v->options & OPT_PRICE && !put_price(o, out))
		return false;
	if (v->options & OPT_MONEY) {
		json_object_set_new(out, "micro_usd", json_integer(o->take ? -money : money));
		json_object_set_new(out, "reason", json_string(o->reason));
	}
	if (v->options & OPT_LIMITS && !put_limits(o, out))
		return false;
	if (v->options & OPT_GRANT)
		put_grant(o, out);
	return true;
}

/* Appends the pages behind reply to its rows.  False: said. */
static bool add_pages(const struct admin_where *w, const struct verb *v, json_t *out, json_t *reply)
{
	struct admin_where again = *w;
	json_t *next = json_incref(json_object_get(reply, "next")), *page;

	again.dir = "."; /* the first call went there */
	while (json_is_integer(next)) {
		json_object_set_new(out, "after", next);
		page = admin_call(&again, v->verb, json_incref(out));
		if (!page)
			return false;
		json_array_extend(json_object_get(reply, v->member), json_object_get(page, v->member));
		next = json_incref(json_object_get(page, "next"));
		json_decref(page);
	}
	json_decref(next);
	json_object_del(reply, "next");
	return true;
}

static int call(const struct command *c, const struct verb *v, const struct options *o,
		const char *const *words, size_t n)
{
	const char *lacking = missing(v, o);
	json_t *out, *reply;
	bool ok;

	if (lacking)
		return args_missing(c, lacking);
	out = json_object();
	if (!put_operands(v, words, n, out) || !put_options(v, o, out)) {
		json_decref(out);
		return args_wrong(c);
	}
	reply = admin_call(&o->where, v->verb, json_incref(out));
	ok = reply && add_pages(&o->where, v, out, reply);
	if (ok)
		admin_print(&o->where, reply, v->member);
	json_decref(reply);
	json_decref(out);
	return ok ? EXIT_OK : EXIT_FAILED;
}

static const struct verb *find(const struct verb *verbs, size_t n, const char *action)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(action, verbs[i].action))
			return &verbs[i];
	return NULL;
}

/* With the options of these verbs and no others. */
static enum args_result parse(const struct command *c, unsigned which, int argc, char **argv,
			      struct options *o, struct operands *words)
{
	struct arg args[VALUES_MAX];

	*o = (struct options){ .reason = "operator", .price = NO_PRICE };
	admin_where_init(&o->where);
	return args_parse(c, args, add_args(o, which, args), argc, argv, words);
}

/* One action; skip: of the words, those that name it. */
static int run_verb(const struct command *c, const struct verb *v, int argc, char **argv, size_t skip)
{
	char name[64], operands[128];
	struct command own = *c;
	struct options o;
	struct operands words;
	enum args_result r;

	args_action(c, v->action, operands, sizeof(operands));
	snprintf(name, sizeof(name), "%s %s", c->name, v->action);
	own.name = name;
	own.operands = operands;
	own.min_operands = skip + strlen(v->kinds);
	own.max_operands = own.min_operands;
	r = parse(&own, v->options, argc, argv, &o, &words);
	if (r != ARGS_RUN)
		return r;
	return call(&own, v, &o, words.v + skip, words.n - skip);
}

int operate(const struct command *c, const struct verb *verbs, size_t n, int argc, char **argv)
{
	const struct verb *v = argc > 1 ? find(verbs, n, argv[1]) : NULL;
	struct options o;
	struct operands words;
	enum args_result r;
	unsigned which = 0;

	if (v)
		return run_verb(c, v, argc - 1, argv + 1, 0);
	for (size_t i = 0; i < n; i++)
		which |= verbs[i].options;
	r = parse(c, which, argc, argv, &o, &words);
	if (r != ARGS_RUN)
		return r;
	v = words.n ? find(verbs, n, words.v[0]) : &verbs[0];
	return v ? run_verb(c, v, argc, argv, words.n ? 1 : 0) : args_wrong(c);
}
