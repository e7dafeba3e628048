//! Lines of the kernel log that concern networking.

use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use netwhy_facts::Reading;
use netwhy_facts::host::KernelLog;
use netwhy_sys::kmsg::{Kmsg, Record};
use netwhy_sys::poll::{self, Interest};

use crate::collector::Collector;
use crate::error::CollectError;

/// Lines kept, the newest.
const LINES: usize = 200;

/// Beginnings of words by which a line is taken to be about networking, in lower case. Too many lines do no
/// harm; a missed one may hide a cause.
const WORDS: &[&str] = &[
    "nf_conntrack",
    "conntrack",
    "netfilter",
    "nf_tables",
    "nft",
    "iptables",
    "ip_tables",
    "ip6_tables",
    "ebtables",
    "arptables",
    "ipset",
    "ip_set",
    "xt_",
    "tcp",
    "udp",
    "icmp",
    "ipv4",
    "ipv6",
    "syn flood",
    "martian",
    "neighbour",
    "neighbor",
    "arp",
    "ndisc",
    "duplicate address",
    "dst cache",
    "route",
    "fib",
    "bridge",
    "br_",
    "vlan",
    "vxlan",
    "geneve",
    "bond",
    "team",
    "macvlan",
    "ipvlan",
    "veth",
    "tun:",
    "wireguard",
    "xfrm",
    "ipsec",
    "esp",
    "netdev watchdog",
    "link is",
    "link up",
    "link down",
    "link becomes",
    "carrier",
    "eth",
    "promiscuous mode",
    "blocking state",
    "forwarding state",
    "disabled state",
    "listening state",
    "learning state",
    "socket",
    "sockets",
    "out of memory",
    "oom-kill",
    "file-max",
    "too many open",
    "apparmor",
    "selinux",
    "avc:",
    "audit:",
    "seccomp",
    "bpf",
    "mtu",
    "checksum",
    "rx ring",
    "tx ring",
    "tx timeout",
    "transmit queue",
    "softirq",
    "napi",
    "rps",
    "net:",
    "net_ratelimit",
];

impl Collector {
    /// Streams the kernel's log from where it was last cleared, or with `new_only` from now on; with `follow` it waits for
    /// more until `each` breaks. `each` gets `None` when there is no more for now. Returns how often records were
    /// overwritten before they were read.
    pub fn kernel_records(
        &self,
        follow: bool,
        new_only: bool,
        each: &mut dyn FnMut(Option<&Record>) -> ControlFlow<()>,
    ) -> Result<u64, CollectError> {
        let mut log = if new_only { Kmsg::open_at_end()? } else { Kmsg::open_after_clear()? };
        loop {
            while let Some(record) = log.read()? {
                if each(Some(&record)).is_break() {
                    return Ok(log.lost());
                }
            }
            // Nothing more for now: the caller may write out what it holds.
            if !follow || each(None).is_break() {
                return Ok(log.lost());
            }
            poll::wait(log.as_fd(), Interest::READ, Some(Instant::now() + Duration::from_millis(200)))?;
        }
    }

    /// What the kernel wrote about networking since `since` nanoseconds of the monotonic clock; the newest 200
    /// lines.
    pub fn kernel_log(&self, since: u64) -> Reading<KernelLog> {
        Self::reading("/dev/kmsg", "CAP_SYSLOG", || {
            let mut log = Kmsg::open().map_err(CollectError::from)?;
            let mut out = KernelLog::default();
            while let Some(record) = log.read()? {
                if record.at >= Duration::from_nanos(since) && concerns_networking(&record) {
                    let micros = u64::try_from(record.at.as_micros()).unwrap_or(u64::MAX);
                    out.lines.push((micros, record.level, record.text));
                }
            }
            let old = out.lines.len().saturating_sub(LINES);
            out.lines.drain(..old);
            out.lost = log.lost();
            Ok(out)
        })
    }
}

/// The kernel's own line (not one that a program wrote into the log) with one of the words, or about a device.
fn concerns_networking(record: &Record) -> bool {
    let text = record.text.to_ascii_lowercase();
    record.facility == 0
        && (WORDS.iter().any(|word| begins_a_word(&text, word))
            || record.fields.iter().any(|(key, value)| key == "SUBSYSTEM" && value == "net"))
}

/// Whether `word` stands somewhere after the start or something that is neither letter nor digit.
fn begins_a_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        before.is_none_or(|before| !before.is_alphanumeric())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(text: &str, facility: u8) -> Record {
        Record { level: 6, facility, sequence: 1, at: Duration::ZERO, text: text.into(), fields: Vec::new() }
    }

    #[test]
    fn lines_that_decide_a_connection_are_kept() {
        for text in [
            "nf_conntrack: nf_conntrack: table full, dropping packet",
            "TCP: request_sock_TCP: Possible SYN flooding on port 8080. Sending cookies.",
            "IPv4: martian source 10.0.0.1 from 127.0.0.1, on dev eth0",
            "neighbour: arp_cache: neighbor table overflow!",
            "IPv6: eth0: IPv6 duplicate address 2001:db8::1 used by 02:00:00:00:00:01 detected!",
            "e1000e: eth0 NIC Link is Down",
            "br0: port 2(veth1) entered blocking state",
        ] {
            assert!(concerns_networking(&record(text, 0)), "{text}");
        }
        assert!(!concerns_networking(&record("usb 1-1: new high-speed USB device", 0)));
        assert!(
            !concerns_networking(&record("this method does not respond", 0)),
            "eth and esp are inside words"
        );
        assert!(!concerns_networking(&record("tcp: said a program", 3)), "not the kernel's word");
    }

    #[test]
    fn the_log_is_read_or_the_refusal_named() {
        match Collector::here().unwrap().kernel_log(0) {
            Reading::Known { value, .. } => assert!(value.lines.len() <= LINES),
            Reading::Denied { needs } => assert_eq!(needs, "CAP_SYSLOG"),
            Reading::Unsupported { why } => println!("no kernel log here: {why}"),
            other => panic!("{other:?}"),
        }
    }
}
