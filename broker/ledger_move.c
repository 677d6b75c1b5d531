/* SPDX-License-Identifier: Apache-2.0
 *
 * A plain request that its node refused goes to another node: its reservation
 * moves to a stack there, under the same request id, so that the request is
 * still settled once.  The units that it held are free again in the same op that
 * holds the new ones.
 */
#include <string.h>

#include "broker/ledger_priv.h"

enum err ledger_move(struct ledger *l, struct reservation *r, struct stack *to, uint64_t units,
		     struct store_op **op)
{
	/* the same stack's own claim does not stand in its way */
	uint64_t room = stack_free(to) + (to == r->stack ? r->units : 0);

	(void)l;
	if (units > room)
		return ERR_UNITS;
	r->stack->reserved -= r->units;
	room_changed(r->stack);
	to->reserved += units;
	room_changed(to);
	r->stack = to;
	r->node = to->node;
	r->units = units;
	*op = store_op_new(OP_MOVE);
	(*op)->u.reservation = (struct row_reservation){ .stack = to->id, .node = to->node, .units = units };
	memcpy((*op)->u.reservation.rid, r->rid, RID_BYTES);
	return ERR_OK;
}
