//! IPsec counters of /proc/net/xfrm_stat (Documentation/networking/xfrm_proc.rst).

use crate::explain::row::{Row, event, pkt};

#[rustfmt::skip]
pub(super) static XFRM: &[Row] = &[
    pkt("XfrmInError", "Arriving packets dropped for a reason that has no counter of its own.").by("xfrm_input").see(&["ipsec"]),
    pkt("XfrmInBufferError", "Arriving packets dropped for want of a buffer.").by("xfrm_input"),
    pkt("XfrmInHdrError", "Arriving packets dropped because their IPsec header is wrong.").by("xfrm_input").see(&["ipsec"]),
    pkt("XfrmInNoStates", "Arriving IPsec packets with an SPI, address or protocol this host has no state for: the peer uses keys this side does not have (any more).").by("xfrm_input")
        .not("a firewall drop; after a restart of one side it is the usual sign").see(&["ipsec"]),
    pkt("XfrmInStateProtoError", "Arriving packets whose decryption or authentication failed: wrong key or a changed packet.").by("xfrm_input").see(&["ipsec"]),
    pkt("XfrmInStateModeError", "Arriving packets whose inner packet does not suit the mode (tunnel, transport).").by("xfrm_input").see(&["ipsec"]),
    pkt("XfrmInStateSeqError", "Arriving packets outside the replay window: duplicates, strong reordering, or a replayed packet.").by("xfrm_input")
        .not("an attack for certain: several CPUs or paths reorder enough to do it").see(&["ipsec"]),
    pkt("XfrmInStateExpired", "Arriving packets for a state whose lifetime is over.").by("xfrm_input").see(&["ipsec"]),
    pkt("XfrmInStateMismatch", "Arriving packets whose encapsulation (NAT traversal) does not fit the state.").by("xfrm_input").see(&["ipsec"]),
    pkt("XfrmInStateInvalid", "Arriving packets for a state that is not valid (being made or removed).").by("xfrm_input").see(&["ipsec"]),
    pkt("XfrmInTmplMismatch", "Arriving packets that passed IPsec, but not in the way the policy asks for; plain packets where the policy asks for IPsec are among them.").by("__xfrm_policy_check").see(&["ipsec"]),
    pkt("XfrmInNoPols", "Arriving IPsec packets for which no policy exists.").by("__xfrm_policy_check").see(&["ipsec"]),
    pkt("XfrmInPolBlock", "Arriving packets a policy blocks.").by("__xfrm_policy_check").see(&["ipsec"]),
    pkt("XfrmInPolError", "Arriving packets dropped by an error while looking for the policy.").by("__xfrm_policy_check"),
    pkt("XfrmOutError", "Leaving packets dropped for a reason that has no counter of its own.").by("xfrm_output_one"),
    event("XfrmOutBundleGenError", "Leaving packets for which no chain of transformations could be made.").by("xfrm_resolve_and_create_bundle"),
    event("XfrmOutBundleCheckError", "Leaving packets whose chain of transformations was no longer valid.").by("xfrm_lookup"),
    pkt("XfrmOutNoStates", "Leaving packets dropped because the policy asks for IPsec and there is no state: the key exchange has not happened or failed.").by("xfrm_lookup").see(&["ipsec"]),
    pkt("XfrmOutStateProtoError", "Leaving packets whose encryption failed.").by("xfrm_output_one"),
    pkt("XfrmOutStateModeError", "Leaving packets that do not suit the mode, for example too large for the tunnel.").by("xfrm_output_one"),
    pkt("XfrmOutStateSeqError", "Leaving packets dropped because the sequence numbers of the state are used up.").by("xfrm_output_one").see(&["ipsec"]),
    pkt("XfrmOutStateExpired", "Leaving packets for a state whose lifetime is over.").by("xfrm_output_one").see(&["ipsec"]),
    pkt("XfrmOutPolBlock", "Leaving packets a policy blocks; the sender gets EPERM.").by("xfrm_lookup").see(&["ipsec"]),
    pkt("XfrmOutPolDead", "Leaving packets whose policy was removed meanwhile.").by("xfrm_lookup"),
    pkt("XfrmOutPolError", "Leaving packets dropped by an error while looking for the policy.").by("xfrm_lookup"),
    pkt("XfrmFwdHdrError", "Packets to be forwarded whose header could not be read for the policy.").by("__xfrm_route_forward"),
    pkt("XfrmOutStateInvalid", "Leaving packets for a state that is not valid; perhaps being removed.").by("xfrm_output_one"),
    event("XfrmAcquireError", "States that were still being negotiated and were given up.").by("xfrm_timer_handler").see(&["ipsec"]),
    pkt("XfrmOutStateDirError", "Leaving packets given a state that is only for the other direction.").by("xfrm_output_one"),
    pkt("XfrmInStateDirError", "Arriving packets given a state that is only for the other direction.").by("xfrm_input"),
    pkt("XfrmInIptfsError", "Arriving IP-TFS packets (RFC 9347) that could not be taken apart.").by("iptfs_input"),
    pkt("XfrmOutNoQueueSpace", "Leaving packets dropped because the IP-TFS queue was full.").by("iptfs_output_collect"),
];
