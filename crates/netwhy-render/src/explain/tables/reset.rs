//! Reasons for a reset this host sent (enum sk_rst_reason, prefix SK_RST_REASON_ left out; tracepoint tcp:tcp_send_reset).

use crate::explain::row::{Row, word};

#[rustfmt::skip]
pub(super) static RESET: &[Row] = &[
    word("NOT_SPECIFIED", "The place that reset gives no reason."),
    word("NO_SOCKET", "No listener and no connection fits the segment.").see(&["svc-not-listening", "svc-bound-elsewhere", "ct-invalid-rst"]),
    word("TCP_INVALID_ACK_SEQUENCE", "During the handshake: an ACK of something that was never sent."),
    word("TCP_RFC7323_PAWS", "During the handshake: a timestamp that went backwards.").see(&["paws-nat"]),
    word("TCP_TOO_OLD_ACK", "An acknowledgement far too old."),
    word("TCP_ACK_UNSENT_DATA", "An acknowledgement of data not sent yet."),
    word("TCP_FLAGS", "A combination of flags that makes no sense in this state."),
    word("TCP_OLD_ACK", "An old acknowledgement where a new one is needed."),
    word("TCP_ABORT_ON_DATA", "Data came after the program had closed.").see(&["reset-after-accept"]),
    word("TCP_TIMEWAIT_SOCKET", "A segment for a connection in TIME-WAIT that does not fit."),
    word("INVALID_SYN", "A SYN on an established connection.").see(&["tw-collision", "port-reuse-firewall"]),
    word("TCP_ABORT_ON_CLOSE", "The program closed with received data unread.").see(&["reset-after-accept"]),
    word("TCP_ABORT_ON_LINGER", "The program closed with SO_LINGER 0: it wants a reset."),
    word("TCP_ABORT_ON_MEMORY", "Too many orphans, or TCP's memory is used up.").see(&["fin-wait2-orphans", "tcp-mem-exhausted"]),
    word("TCP_STATE", "The connection's state asks for a reset when it is given up."),
    word("TCP_KEEPALIVE_TIMEOUT", "The peer did not answer keepalives.").see(&["half-open-idle"]),
    word("TCP_DISCONNECT_WITH_DATA", "The program disconnected with data not yet sent or acknowledged."),
    word("MPTCP_RST_EUNSPEC", "MPTCP: no reason given."),
    word("MPTCP_RST_EMPTCP", "MPTCP: an error of the protocol."),
    word("MPTCP_RST_ERESOURCE", "MPTCP: no resources for a further path."),
    word("MPTCP_RST_EPROHIBIT", "MPTCP: the further path is not allowed."),
    word("MPTCP_RST_EWQ2BIG", "MPTCP: too much data is outstanding."),
    word("MPTCP_RST_EBADPERF", "MPTCP: the path performs too badly."),
    word("MPTCP_RST_EMIDDLEBOX", "MPTCP: a middlebox interferes.").see(&["option-intolerance"]),
    word("ERROR", "An error without a reason of its own."),
    word("MAX", "Not a reason: the end of the list."),
];
