//! Connection tracking: per-CPU statistics (ctnetlink CTA_STATS_*, /proc/net/stat/nf_conntrack) and the states of an entry.

use crate::explain::row::{Row, event, gauge, pkt, word};

#[rustfmt::skip]
pub(super) static STATS: &[Row] = &[
    gauge("entries", "entries", "Entries in the table now; the same number on every CPU's line. Limit: net.netfilter.nf_conntrack_max.").by("ct_cpu_seq_show").see(&["conntrack-full"]).alias(&["nf_conntrack_count"]),
    event("clashres", "Races of two packets for the same new entry that were settled in favour of one (clash_resolve).").by("nf_ct_resolve_clash").not("loss: the packet goes on").alias(&["clash_resolve"]).see(&["dns-conntrack-race"]),
    event("found", "Lookups for a translated port that met an existing entry.").by("nf_conntrack_tuple_taken"),
    event("new", "No longer maintained; always 0.").by("nothing since Linux 4.9").not("the number of new connections: conntrack -E or the entries' difference shows that"),
    pkt("invalid", "Packets tracking could not make sense of: out of window, an answer without a request, a broken header.").by("nf_conntrack_in")
        .not("loss: such packets pass untranslated unless a rule drops state 'invalid'").see(&["ct-invalid-drop", "ct-invalid-rst"]),
    event("ignore", "No longer maintained on current kernels.").by("nf_conntrack_in on older kernels"),
    event("delete", "No longer maintained; always 0.").by("nothing since Linux 4.9"),
    event("chainlength", "Times a new entry was refused because its hash chain is too long (chaintoolong).").by("__nf_conntrack_confirm").alias(&["chaintoolong"]).see(&["conntrack-hash-thin"]),
    event("insert", "No longer maintained; always 0.").by("nothing since Linux 4.9"),
    pkt("insert_failed", "New entries that could not be stored because another one took the same tuple meanwhile; the packet is dropped.").by("__nf_conntrack_confirm, nf_ct_resolve_clash")
        .not("a full table: then drop rises alone; together with drop it means that source NAT found no free port").see(&["snat-port-exhausted", "dns-conntrack-race"]),
    pkt("drop", "Packets dropped because no entry could be made: table full, no memory, or their insertion failed.").by("nf_conntrack_in, __nf_conntrack_alloc")
        .not("drops by a rule: those do not move it").see(&["conntrack-full", "snat-port-exhausted"]),
    event("early_drop", "Entries without an answer thrown out to make room in a full table.").by("early_drop").not("loss of packets: an unanswered connection was forgotten").see(&["conntrack-full", "ct-full-bursts"]),
    pkt("icmp_error", "ICMP errors about a packet that could not be checked or related to an entry (error).").by("nf_conntrack_icmpv4_error, nf_conntrack_icmpv6_error").alias(&["ct.error"]),
    event("expect_new", "Expectations made: a helper (FTP, SIP) waits for a related connection.").by("nf_ct_expect_insert"),
    event("expect_create", "Expectations that were allocated.").by("nf_ct_expect_related_report"),
    event("expect_delete", "Expectations that were removed.").by("nf_ct_unlink_expect_report"),
    event("search_restart", "Lookups that had to start again because the table was being resized or an entry moved.").by("____nf_conntrack_find").see(&["conntrack-hash-thin"]),
];

#[rustfmt::skip]
pub(super) static STATES: &[Row] = &[
    word("NEW", "The packet begins a connection nobody knows yet (rule state 'new').").not("a SYN: any packet without an entry is new, mid-stream ones too when nf_conntrack_tcp_loose is on"),
    word("ESTABLISHED", "The connection has seen packets in both directions (rule state 'established').").not("TCP's ESTABLISHED: here a SYN-ACK is enough").alias(&["ct established"]),
    word("RELATED", "The packet belongs to another connection: an ICMP error about it, or the data connection of FTP.").not("something to be filtered by habit: without it path MTU discovery breaks").see(&["icmp-filtered", "mtu-blackhole"]),
    word("INVALID", "Tracking cannot make sense of the packet: out of window, an answer without a request, a broken header.").not("harmful for certain: asymmetric paths make good packets invalid").see(&["ct-invalid-drop"]),
    word("UNTRACKED", "A 'notrack' rule excluded the packet; neither state nor NAT applies to it.").see(&["notrack-beside-stateful"]),
    word("UNREPLIED", "The entry has seen no packet of the other direction: nobody answered, or the answer takes another path.").see(&["path-or-remote-drop", "ct-invalid-drop"]),
    word("ASSURED", "The entry has seen real traffic both ways and is not thrown out when the table is full."),
    word("SNAT", "The source address or port is translated.").alias(&["SRC_NAT", "masquerade"]).see(&["snat-missing", "source-address-wrong"]),
    word("DNAT", "The destination address or port is translated.").alias(&["DST_NAT"]).see(&["dnat-dead-backend", "nat-stale-entry"]),
    word("OFFLOAD", "A flowtable passes the packets by the rules; counters of rules after it stand still.").alias(&["HW_OFFLOAD"]).not("a stalled connection"),
    word("SYN_SENT2", "Both ends sent a SYN (simultaneous open)."),
    word("DYING", "The entry is being removed; packets no longer match it."),
];
