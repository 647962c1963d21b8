/* Every limit of the formats and of the protocol, with its reason. */
#ifndef NOROSHI_LIMITS_H
#define NOROSHI_LIMITS_H

#define NRS_ORIGIN_MAX	     253	 /* an origin is named like a host: RFC 1035 */
#define NRS_NAME_MAX	     64		 /* community, subscriber, gate names */
#define NRS_PAYLOAD_MAX	     (16u << 20) /* what one record may carry */
#define NRS_SIGS_MAX	     16		 /* signatures on one record */
#define NRS_SIGBLOCK_MAX     65536u	 /* bytes of a signature block */
#define NRS_CONTROL_MAX	     65527u	 /* inline document of a public log entry */
#define NRS_NOTE_MAX	     65527u	 /* a signed note: fits a control entry */
#define NRS_MEMBERS_MAX	     1024	 /* members of one community, recipients */
#define NRS_ADDRS_MAX	     8		 /* addresses of one peer */
#define NRS_FRAME_MAX	     (1u << 20)	 /* body of one wire frame */
#define NRS_BATCH_BYTES	     (4u << 20)	 /* journal batch: one pwrite, one fdatasync */
#define NRS_SEGMENT_BYTES    (64u << 20) /* journal segment */
#define NRS_JFRAME_MAX	     (20u << 20) /* body of one journal frame: a record and slack */
#define NRS_LEAVES_PER_FRAME 4096	 /* sealed leaves in one run */
#define NRS_CLOCK_SKEW_MS    600000	 /* created_ms further ahead is flagged */
#define NRS_OBJECTS_MAX	     1000000	 /* objects in one bundle */
#define NRS_JSON_DEPTH	     64		 /* nesting of a STIX document */

#endif
