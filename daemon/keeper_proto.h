/*
 * What daemon and keeper say to each other over a stream socket, big-endian:
 *	request:  u32 length of the body | u8 what | body
 *	answer:   u32 length of the body | u32 error, negated; 0 is success | body
 * Requests are answered in order.  what is an enum nrs_sign_what, whose in and
 * out are the bodies, or one of those below.  An unknown what is answered with
 * NRS_ETYPE; a body that is too long ends the conversation.
 */
#ifndef DAEMON_KEEPER_PROTO_H
#define DAEMON_KEEPER_PROTO_H

#define KEEPER_REQ_HEAD 5
#define KEEPER_ANS_HEAD 8
#define KEEPER_BODY_MAX (4u << 20) /* some 18,000 headers */

#define KEEPER_GET_STATE 64 /* out: u64 size of the own log signed last */

#endif
