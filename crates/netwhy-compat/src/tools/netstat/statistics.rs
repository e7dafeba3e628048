//! `netstat -s`: the counters of `/proc/net/{snmp,netstat}` in sentences, as the original was seen to write them.

use std::io::{self, Write};

use netwhy_facts::mib::Counter;

/// A counter, its sentence, and whether it is told when it is zero. Any other counter is told under its own name,
/// if it is not zero.
const SENTENCES: &[(&str, &str, bool)] = &[
    ("Ip.InReceives", "{} total packets received", true),
    ("Ip.InHdrErrors", "{} with invalid headers", false),
    ("Ip.InAddrErrors", "{} with invalid addresses", false),
    ("Ip.ForwDatagrams", "{} forwarded", true),
    ("Ip.InUnknownProtos", "{} with unknown protocol", false),
    ("Ip.InDiscards", "{} incoming packets discarded", true),
    ("Ip.InDelivers", "{} incoming packets delivered", true),
    ("Ip.OutRequests", "{} requests sent out", true),
    ("Ip.OutDiscards", "{} outgoing packets dropped", false),
    ("Ip.OutNoRoutes", "{} dropped because of missing route", false),
    ("Ip.ReasmTimeout", "{} fragments dropped after timeout", false),
    ("Ip.ReasmReqds", "{} reassemblies required", false),
    ("Ip.ReasmOKs", "{} packets reassembled ok", false),
    ("Ip.ReasmFails", "{} packet reassemblies failed", false),
    ("Ip.FragOKs", "{} outgoing packets fragmented ok", false),
    ("Ip.FragFails", "{} outgoing packets failed fragmentation", false),
    ("Ip.FragCreates", "{} fragments created", false),
    ("Icmp.InMsgs", "{} ICMP messages received", true),
    ("Icmp.InErrors", "{} input ICMP message failed", true),
    ("Icmp.InDestUnreachs", "destination unreachable: {}", false),
    ("Icmp.InTimeExcds", "timeout in transit: {}", false),
    ("Icmp.InParmProbs", "wrong parameters: {}", false),
    ("Icmp.InSrcQuenchs", "source quenches: {}", false),
    ("Icmp.InRedirects", "redirects: {}", false),
    ("Icmp.InEchos", "echo requests: {}", false),
    ("Icmp.InEchoReps", "echo replies: {}", false),
    ("Icmp.InTimestamps", "timestamp request: {}", false),
    ("Icmp.InTimestampReps", "timestamp reply: {}", false),
    ("Icmp.InAddrMasks", "address mask request: {}", false),
    ("Icmp.InAddrMaskReps", "address mask replies: {}", false),
    ("Icmp.OutMsgs", "{} ICMP messages sent", true),
    ("Icmp.OutErrors", "{} ICMP messages failed", true),
    ("Icmp.OutDestUnreachs", "destination unreachable: {}", false),
    ("Icmp.OutTimeExcds", "time exceeded: {}", false),
    ("Icmp.OutParmProbs", "wrong parameters: {}", false),
    ("Icmp.OutSrcQuenchs", "source quench: {}", false),
    ("Icmp.OutRedirects", "redirect: {}", false),
    ("Icmp.OutEchos", "echo requests: {}", false),
    ("Icmp.OutEchoReps", "echo replies: {}", false),
    ("Icmp.OutTimestamps", "timestamp requests: {}", false),
    ("Icmp.OutTimestampReps", "timestamp replies: {}", false),
    ("Icmp.OutAddrMasks", "address mask requests: {}", false),
    ("Icmp.OutAddrMaskReps", "address mask replies: {}", false),
    ("Tcp.ActiveOpens", "{} active connection openings", true),
    ("Tcp.PassiveOpens", "{} passive connection openings", true),
    ("Tcp.AttemptFails", "{} failed connection attempts", true),
    ("Tcp.EstabResets", "{} connection resets received", true),
    ("Tcp.CurrEstab", "{} connections established", true),
    ("Tcp.InSegs", "{} segments received", true),
    ("Tcp.OutSegs", "{} segments sent out", true),
    ("Tcp.RetransSegs", "{} segments retransmitted", true),
    ("Tcp.InErrs", "{} bad segments received", true),
    ("Tcp.OutRsts", "{} resets sent", true),
    ("Udp.InDatagrams", "{} packets received", true),
    ("Udp.NoPorts", "{} packets to unknown port received", true),
    ("Udp.InErrors", "{} packet receive errors", true),
    ("Udp.OutDatagrams", "{} packets sent", true),
    ("Udp.RcvbufErrors", "{} receive buffer errors", true),
    ("Udp.SndbufErrors", "{} send buffer errors", true),
    ("TcpExt.SyncookiesSent", "{} SYN cookies sent", false),
    ("TcpExt.SyncookiesRecv", "{} SYN cookies received", false),
    ("TcpExt.SyncookiesFailed", "{} invalid SYN cookies received", false),
    ("TcpExt.EmbryonicRsts", "{} resets received for embryonic SYN_RECV sockets", false),
    ("TcpExt.PruneCalled", "{} packets pruned from receive queue because of socket buffer overrun", false),
    ("TcpExt.RcvPruned", "{} packets pruned from receive queue", false),
    (
        "TcpExt.OfoPruned",
        "{} packets dropped from out-of-order queue because of socket buffer overrun",
        false,
    ),
    ("TcpExt.OutOfWindowIcmps", "{} ICMP packets dropped because they were out-of-window", false),
    ("TcpExt.LockDroppedIcmps", "{} ICMP packets dropped because socket was locked", false),
    ("TcpExt.TW", "{} TCP sockets finished time wait in fast timer", false),
    ("TcpExt.TWRecycled", "{} time wait sockets recycled by time stamp", false),
    ("TcpExt.PAWSActive", "{} active connections rejected because of time stamp", false),
    ("TcpExt.PAWSEstab", "{} packets rejected in established connections because of timestamp", false),
    ("TcpExt.DelayedACKs", "{} delayed acks sent", false),
    ("TcpExt.DelayedACKLocked", "{} delayed acks further delayed because of locked socket", false),
    ("TcpExt.DelayedACKLost", "Quick ack mode was activated {} times", false),
    ("TcpExt.ListenOverflows", "{} times the listen queue of a socket overflowed", false),
    ("TcpExt.ListenDrops", "{} SYNs to LISTEN sockets dropped", false),
    ("TcpExt.TCPHPHits", "{} packet headers predicted", true),
    ("TcpExt.TCPPureAcks", "{} acknowledgments not containing data payload received", false),
    ("TcpExt.TCPHPAcks", "{} predicted acknowledgments", false),
    ("TcpExt.TCPRenoRecovery", "{} times recovered from packet loss due to fast retransmit", false),
    ("TcpExt.TCPSACKReorder", "Detected reordering {} times using SACK", false),
    ("TcpExt.TCPRenoReorder", "Detected reordering {} times using reno fast retransmit", false),
    ("TcpExt.TCPTSReorder", "Detected reordering {} times using time stamp", false),
    ("TcpExt.TCPFullUndo", "{} congestion windows fully recovered without slow start", false),
    ("TcpExt.TCPPartialUndo", "{} congestion windows partially recovered using Hoe heuristic", false),
    ("TcpExt.TCPLossUndo", "{} congestion windows recovered without slow start after partial ack", false),
    ("TcpExt.TCPRenoFailures", "{} timeouts after reno fast retransmit", false),
    ("TcpExt.TCPLossFailures", "{} timeouts in loss state", false),
    ("TcpExt.TCPFastRetrans", "{} fast retransmits", false),
    ("TcpExt.TCPSlowStartRetrans", "{} retransmits in slow start", false),
    ("TcpExt.TCPRcvCollapsed", "{} packets collapsed in receive queue due to low socket buffer", false),
    ("TcpExt.TCPAbortOnData", "{} connections reset due to unexpected data", false),
    ("TcpExt.TCPAbortOnClose", "{} connections reset due to early user close", false),
    ("TcpExt.TCPAbortOnMemory", "{} connections aborted due to memory pressure", false),
    ("TcpExt.TCPAbortOnTimeout", "{} connections aborted due to timeout", false),
    ("TcpExt.TCPAbortOnLinger", "{} connections aborted after user close in linger timeout", false),
    ("TcpExt.TCPAbortFailed", "{} times unable to send RST due to no memory", false),
    ("TcpExt.TCPMemoryPressures", "TCP ran low on memory {} times", false),
];

/// Numbers that count nothing and are not told.
const SILENT: &[&str] = &["Ip.DefaultTTL", "Tcp.RtoAlgorithm", "Tcp.RtoMin", "Tcp.RtoMax", "Tcp.MaxConn"];

/// The first counter of each list of message types, and the list's heading.
const HEADINGS: &[(&str, &str)] = &[
    ("Icmp.InDestUnreachs", "    ICMP input histogram:"),
    ("Icmp.OutDestUnreachs", "    ICMP output histogram:"),
];

/// Writes the groups that are wanted.
pub(super) fn write(
    out: &mut dyn Write,
    counters: &[Counter],
    wanted: &dyn Fn(&str) -> bool,
) -> io::Result<()> {
    let mut group = "";
    for one in counters.iter().filter(|one| !one.group.ends_with('6') && wanted(&one.group)) {
        if one.group != group {
            writeln!(out, "{}:", one.group)?;
            group = &one.group;
        }
        let name = format!("{}.{}", one.group, one.name);
        if let Some((_, heading)) = HEADINGS.iter().find(|(first, _)| *first == name) {
            writeln!(out, "{heading}")?;
        }
        let value = one.value as u64;
        let message = one.group == "IcmpMsg" || is_message(&name);
        let indent = if message { "        " } else { "    " };
        match SENTENCES.iter().find(|(own, ..)| *own == name) {
            _ if SILENT.contains(&name.as_str()) => {}
            Some((_, _, false)) | None if value == 0 => {}
            Some((_, sentence, _)) => {
                writeln!(out, "{indent}{}", sentence.replace("{}", &value.to_string()))?;
            }
            None => writeln!(out, "{indent}{}: {value}", one.name)?,
        }
    }
    Ok(())
}

/// Whether a counter is one of a list of ICMP message types.
fn is_message(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("Icmp.In").or_else(|| name.strip_prefix("Icmp.Out")) else {
        return false;
    };
    !matches!(rest, "Msgs" | "Errors" | "CsumErrors" | "RateLimitGlobal" | "RateLimitHost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_told_only_where_the_original_tells_it() {
        let counter =
            |group: &str, name: &str, value| Counter { group: group.into(), name: name.into(), value };
        let counters = [
            counter("Ip", "DefaultTTL", 64),
            counter("Ip", "InReceives", 0),
            counter("Ip", "InHdrErrors", 0),
            counter("Icmp", "InDestUnreachs", 2),
            counter("Tcp", "OutRsts", 3),
            counter("TcpExt", "TCPTimeouts", 7),
            counter("Ip6", "InReceives", 9),
        ];
        let mut out = Vec::new();
        write(&mut out, &counters, &|group| group != "Tcp").unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "Ip:\n    0 total packets received\nIcmp:\n    ICMP input histogram:\n        destination unreachable: 2\n\
             TcpExt:\n    TCPTimeouts: 7\n"
        );
    }
}
