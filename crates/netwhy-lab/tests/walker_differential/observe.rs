//! What became of a packet, and whether that is what the walker said.

use std::net::IpAddr;

use netwhy_sys::Errno;
use netwhy_walk::{End, Path};
use netwhy_wire::packet::Ip;

use crate::field::{Got, INSIDE};
use crate::packets::Shot;

/// What was seen.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Seen {
    /// It went out of a device of m, as these addresses, ports, TTL and traffic class.
    Sent { dev: &'static str, src: IpAddr, dst: IpAddr, sport: u16, dport: u16, ttl: u8, tos: u8 },
    /// A socket or the kernel of m answered for it.
    Delivered,
    /// A TCP reset came back.
    Reset,
    /// An ICMP error came back: type and code.
    Icmp(u8, u8),
    /// The sender's call failed, or its socket got an error.
    Error(Errno),
    /// It came as far as UDP over IPv6, which found its checksum wrong.
    BadChecksum,
    /// Nothing at all.
    Nothing,
}

fn holds(bytes: &[u8], id: u32) -> bool {
    bytes.windows(4).any(|w| w == id.to_be_bytes())
}

/// Reads the captured frames for what concerns a shot.
pub(crate) fn classify(frames: &[Got], shot: &Shot, local: bool) -> Option<Seen> {
    let mut seen = None;
    for got in frames {
        let Ok(ip) = Ip::parse(&got.packet) else { continue };
        let Some((proto, upper)) = ip.upper() else { continue };
        let word = |i: usize| upper.get(i..i + 2).map_or(0, |b| u16::from_be_bytes([b[0], b[1]]));
        let long = |i: usize| upper.get(i..i + 4).map_or(0, |b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
        let tos = match &ip {
            Ip::V4(p) => p.tos,
            Ip::V6(p) => p.traffic_class,
        };
        let sent = |sport: u16, dport: u16| Seen::Sent {
            dev: INSIDE[got.at],
            src: ip.src(),
            dst: ip.dst(),
            sport,
            dport,
            ttl: ip.ttl(),
            tos,
        };
        let now = match proto {
            6 => {
                let flags = upper.get(13).copied().unwrap_or(0);
                let (seq, ack) = (long(4), long(8));
                let answers = ack == shot.id.wrapping_add(1) || ack == shot.id || seq == shot.ack;
                if local {
                    // Our own sockets choose their sequence numbers; a bare SYN can only be theirs.
                    (shot.packet.proto == 6 && flags & 0x17 == 0x02).then(|| sent(word(0), word(2)))
                } else if seq == shot.id && flags == shot.packet.tcp_flags {
                    Some(sent(word(0), word(2)))
                } else if ack == shot.id.wrapping_add(1) && flags & 0x12 == 0x12 {
                    Some(Seen::Delivered)
                } else if flags & 0x04 != 0 && answers {
                    Some(Seen::Reset)
                } else {
                    None
                }
            }
            17 => upper.get(8..).is_some_and(|b| holds(b, shot.id)).then(|| sent(word(0), word(2))),
            1 | 58 => {
                let kind = upper.first().copied().unwrap_or(0);
                let code = upper.get(1).copied().unwrap_or(0);
                let error = if proto == 1 { matches!(kind, 3 | 11 | 12) } else { kind < 128 };
                if !holds(upper, shot.id) {
                    None
                } else if error {
                    Some(Seen::Icmp(kind, code))
                } else if kind == shot.packet.icmp_type {
                    Some(sent(word(4), 0))
                } else {
                    Some(Seen::Delivered)
                }
            }
            _ => None,
        };
        // The packet itself is worth more than an answer to it (which the far side never gives).
        if now.is_some() && !matches!(seen, Some(Seen::Sent { .. })) {
            seen = now;
        }
    }
    seen
}

/// The ICMP type and code of the words of `End::Rejected` and `End::Unroutable`.
fn icmp_of(with: &str) -> Option<(u8, u8)> {
    let (family, name) = with.split_once(' ')?;
    Some(match (family, name) {
        ("icmp", "net-unreachable") => (3, 0),
        ("icmp", "host-unreachable") => (3, 1),
        ("icmp", "prot-unreachable") => (3, 2),
        ("icmp", "port-unreachable") => (3, 3),
        ("icmp", "net-prohibited") => (3, 9),
        ("icmp", "host-prohibited") => (3, 10),
        ("icmp", "admin-prohibited") => (3, 13),
        ("icmp", "time-exceeded") => (11, 0),
        ("icmpv6", "no-route") => (1, 0),
        ("icmpv6", "admin-prohibited") => (1, 1),
        ("icmpv6", "addr-unreachable") => (1, 3),
        ("icmpv6", "port-unreachable") => (1, 4),
        ("icmpv6", "time-exceeded") => (3, 0),
        _ => return None,
    })
}

/// The errno an ICMP error becomes for the sender (RFC 1122 as Linux has it).
fn errno_of(with: &str) -> Option<Errno> {
    Some(match with {
        "tcp reset" | "icmp port-unreachable" | "icmpv6 port-unreachable" => Errno::ECONNREFUSED,
        "icmp net-unreachable" | "icmp net-prohibited" | "icmpv6 no-route" => Errno::ENETUNREACH,
        "icmp host-unreachable"
        | "icmp host-prohibited"
        | "icmp admin-prohibited"
        | "icmpv6 addr-unreachable" => Errno::EHOSTUNREACH,
        "icmp prot-unreachable" => Errno::ENOPROTOOPT,
        "icmpv6 admin-prohibited" => Errno::EACCES,
        _ => return None,
    })
}

/// Whether a prediction and an observation agree; the error says how not.
pub(crate) fn agrees(path: &Path, seen: &Seen, shot: &Shot, local: bool) -> Result<(), String> {
    let no = |why: &str| Err(format!("{why}: predicted {:?}, seen {seen:?}", path.end));
    let p = &shot.packet;
    // Only an answer to a bare SYN can be told from the outside.
    let bare = p.proto != 6 || p.tcp_flags == 0x02;
    // Answers to a source that is not on the client's network go elsewhere.
    let strange = !local
        && match p.src {
            IpAddr::V4(a) => a.octets()[..3] != [198, 51, 100],
            IpAddr::V6(a) => a.segments()[2] != 1,
        }
        && *seen == Seen::Nothing
        && matches!(path.end, End::NoSocket { .. } | End::Rejected { .. } | End::Unroutable { .. });
    if strange {
        return Ok(());
    }
    // Whether answers find their way back through a translation is another question, and a connection that
    // cannot be routed again after one fails silently.
    let moved = (path.packet.src, path.packet.dst) != (path.finally.src, path.finally.dst);
    if local
        && *seen == Seen::Nothing
        && (moved && matches!(path.end, End::NoSocket { .. } | End::Delivered { .. })
            || p.proto == 6 && path.steps.len() > 1 && matches!(path.end, End::Unroutable { .. }))
    {
        return Ok(());
    }
    let quiet = matches!(seen, Seen::Nothing)
        || (local && matches!(seen, Seen::Error(Errno::EPERM | Errno::ENOBUFS)));
    match &path.end {
        End::Sent { dev, .. } => {
            let Seen::Sent { dev: at, src, dst, sport, dport, ttl, tos } = seen else {
                return no("not sent");
            };
            let open = path.assumptions.iter().any(|a| a.contains("may also end") || a.contains("next hop"));
            if dev != at && !open {
                return no("another device");
            }
            let f = &path.finally;
            let ports = matches!(p.proto, 6 | 17);
            if (*src, *dst) != (f.src, f.dst) && !open {
                return no(&format!("addresses {} {}", f.src, f.dst));
            }
            if ports && (*sport, *dport) != (f.sport, f.dport) {
                return no(&format!("ports {} {}", f.sport, f.dport));
            }
            if *ttl != f.ttl || *tos != f.tos {
                return no(&format!("ttl {} tos {:#x}", f.ttl, f.tos));
            }
            Ok(())
        }
        End::Delivered { .. } if !bare => match seen {
            Seen::Reset | Seen::Nothing => Ok(()),
            _ => no("not delivered"),
        },
        // An echo reply nobody waits for is swallowed.
        End::Delivered { .. } if matches!((p.proto, p.icmp_type), (1, 0) | (58, 129)) => {
            if quiet {
                Ok(())
            } else {
                no("not swallowed")
            }
        }
        // A connection or an echo with oneself also needs its answers let through.
        End::Delivered { .. } if local && p.proto != 17 => {
            if matches!(seen, Seen::Nothing | Seen::Delivered) { Ok(()) } else { no("not delivered") }
        }
        // Whoever rewrites the traffic class of a packet whose checksum was verified makes the kernel find it wrong.
        End::Delivered { .. } => {
            if matches!(seen, Seen::Delivered | Seen::BadChecksum) {
                Ok(())
            } else {
                no("not delivered")
            }
        }
        End::Dropped { .. } | End::Unresolved { .. } => {
            if quiet {
                Ok(())
            } else {
                no("not dropped")
            }
        }
        End::NoSocket { .. } if !bare => match seen {
            Seen::Reset | Seen::Nothing => Ok(()),
            _ => no("a socket"),
        },
        End::NoSocket { .. } => {
            let want = match (p.proto, p.dst.is_ipv6()) {
                (6, _) => Seen::Reset,
                (_, false) => Seen::Icmp(3, 3),
                (_, true) => Seen::Icmp(1, 4),
            };
            let refused = local && *seen == Seen::Error(Errno::ECONNREFUSED);
            if *seen == want || refused { Ok(()) } else { no("a socket") }
        }
        End::Rejected { with, .. } | End::Unroutable { error: with, .. } => {
            if local {
                let errno = errno_of(with).or_else(|| Errno::from_name(with));
                return match (errno, seen) {
                    (Some(want), Seen::Error(got)) if want == *got => Ok(()),
                    _ => no("another error"),
                };
            }
            let answered = match with.as_str() {
                "tcp reset" => *seen == Seen::Reset,
                w if w.starts_with("not forwarded") => quiet,
                w => icmp_of(w).is_some_and(|(t, c)| *seen == Seen::Icmp(t, c)),
            };
            // Resets and answers to errors and resets are not sent.
            let unanswerable = quiet && p.proto == 6 && p.tcp_flags & 0x04 != 0;
            if answered || unanswerable { Ok(()) } else { no("another refusal") }
        }
        End::Stolen { .. } | End::Insufficient { .. } => Ok(()),
    }
}
