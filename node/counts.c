/* SPDX-License-Identifier: Apache-2.0
 *
 * Labels are names of ours: endpoints, outcomes, refusals.  Nothing of a
 * request, and no model name, becomes a label.
 */
#include "node/counts.h"

#include "common/stats.h"

#define ANSWERS "sealway_node_answers_total"
#define ANSWERS_HELP "Answers that began, by endpoint and how they ended."
#define REFUSED "sealway_node_refusals_total"
#define REFUSED_HELP "Requests refused before an answer began, by reason."

#define ROW(ep)                                                                                                   \
	{                                                                                                         \
		{                                                                                                 \
			ANSWERS, "endpoint=\"" ep "\",outcome=\"complete\"", ANSWERS_HELP, STAT_COUNTER, 0,       \
			NULL                                                                                      \
		},                                                                                                \
			{ ANSWERS, "endpoint=\"" ep "\",outcome=\"stopped\"", ANSWERS_HELP, STAT_COUNTER, 0,      \
			  NULL },                                                                                 \
			{ ANSWERS, "endpoint=\"" ep "\",outcome=\"lost\"", ANSWERS_HELP, STAT_COUNTER, 0, NULL }, \
		{                                                                                                 \
			ANSWERS, "endpoint=\"" ep "\",outcome=\"failed\"", ANSWERS_HELP, STAT_COUNTER, 0,         \
				NULL                                                                              \
		}                                                                                                 \
	}

#define ONE(name, labels, help, kind)                                                                        \
	{                                                                                                    \
		name, labels, help, kind, 0, NULL                                                            \
	}

static struct stat_value answers[][OUTCOME_COUNT] = { ROW("confidential_completions"),
						      ROW("confidential_chat"),
						      ROW("confidential_embeddings"),
						      ROW("confidential_images"),
						      ROW("completions"),
						      ROW("chat"),
						      ROW("embeddings"),
						      ROW("images") };

#define REFUSALS(X)                                                                                          \
	X(ERR_AUTH, "auth")                                                                                  \
	X(ERR_BODY, "body")                                                                                  \
	X(ERR_TOO_LARGE, "too_large")                                                                        \
	X(ERR_NOT_FOUND, "not_found")                                                                        \
	X(ERR_METHOD, "method")                                                                              \
	X(ERR_KEY_UNKNOWN, "key_unknown")                                                                    \
	X(ERR_ANSWERED, "already_answered")                                                                  \
	X(ERR_RATE, "concurrency")                                                                           \
	X(ERR_COUNT, "other")

static struct refusal {
	enum err e;
	struct stat_value s;
} refusals[] = {
#define X(err, label) { err, ONE(REFUSED, "reason=\"" label "\"", REFUSED_HELP, STAT_COUNTER) },
	REFUSALS(X)
#undef X
};

static struct stat_value running =
	ONE("sealway_node_answers_running", "", "Answers under way now.", STAT_GAUGE);
static struct stat_value chunks = ONE("sealway_node_chunks_total", "", "Objects sent.", STAT_COUNTER);
static struct stat_value prompt_units =
	ONE("sealway_node_units_total", "kind=\"prompt\"", "Units used by answers.", STAT_COUNTER);
static struct stat_value completion_units =
	ONE("sealway_node_units_total", "kind=\"completion\"", "Units used by answers.", STAT_COUNTER);
static struct stat_value registered = ONE("sealway_node_registrations_total", "outcome=\"acknowledged\"",
					  "Registrations sent to gateways.", STAT_COUNTER);
static struct stat_value unregistered = ONE("sealway_node_registrations_total", "outcome=\"failed\"",
					    "Registrations sent to gateways.", STAT_COUNTER);
static struct stat_value kept =
	ONE("sealway_node_receipts_kept", "", "Receipts kept for workers.", STAT_GAUGE);
static struct stat_value engine =
	ONE("sealway_node_engine_reachable", "",
	    "0 from a connection to the engine, or a trial of it, that failed until it answers.", STAT_GAUGE);
static struct stat_hist seconds = { .name = "sealway_node_answer_seconds",
				    .labels = "",
				    .help = "From the request to the end of its answer." };

void counts_init(void)
{
	for (unsigned i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		for (unsigned o = 0; o < OUTCOME_COUNT; o++)
			stat_add(&answers[i][o]);
	}
	for (unsigned i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
		stat_add(&refusals[i].s);
	stat_add(&running);
	stat_add(&chunks);
	stat_add(&prompt_units);
	stat_add(&completion_units);
	stat_add(&registered);
	stat_add(&unregistered);
	stat_add(&kept);
	stat_add(&engine);
	count_engine(true);
	stat_hist_add(&seconds);
}

void count_running(int by)
{
	stat_inc(&running, by);
}

void count_answer(enum endpoint ep, enum outcome o, uint64_t prompt, uint64_t completion, uint64_t us)
{
	stat_inc(&answers[ep - EP_COMPLETIONS][o], 1);
	stat_inc(&prompt_units, (int64_t)prompt);
	stat_inc(&completion_units, (int64_t)completion);
	stat_observe(&seconds, us);
}

void count_chunk(void)
{
	stat_inc(&chunks, 1);
}

void count_refusal(enum err e)
{
	unsigned i = 0;

	while (refusals[i].e != e && refusals[i].e != ERR_COUNT)
		i++;
	stat_inc(&refusals[i].s, 1);
}

void count_registration(bool acknowledged)
{
	stat_inc(acknowledged ? &registered : &unregistered, 1);
}

void count_engine(bool reachable)
{
	stat_set(&engine, reachable);
}

void count_receipts(uint64_t n)
{
	stat_set(&kept, (int64_t)n);
}
