//! Sockets from `/proc/net/{tcp,udp,raw,icmp}` and their `6` twins: for kernels whose diag module is not
//! loaded, and for raw and ping sockets. Slower and poorer than sock_diag.

use std::net::IpAddr;

use netwhy_facts::socket::Socket;
use netwhy_facts::{Family, Proto, Reading};

/// The files of a protocol and family below `/proc/net`. Echo is spoken over ping sockets and raw ones.
pub(super) const fn files(proto: Proto, family: Family) -> &'static [&'static str] {
    match (proto, family) {
        (Proto::Tcp, Family::Inet) => &["tcp"],
        (Proto::Tcp, Family::Inet6) => &["tcp6"],
        (Proto::Udp, Family::Inet) => &["udp"],
        (Proto::Udp, Family::Inet6) => &["udp6"],
        (Proto::Icmp, Family::Inet) => &["icmp", "raw"],
        (Proto::Icmp, Family::Inet6) => &["icmp6", "raw6"],
    }
}

/// One line of such a file, without its heading; `None` for a line of another shape.
pub fn line(proto: Proto, family: Family, line: &str) -> Option<Socket> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let (local, lport) = end(family, words.next()?)?;
    let (remote, rport) = end(family, words.next()?)?;
    let state = super::decode::state_word(u8::from_str_radix(words.next()?, 16).ok()?);
    let (sent, received) = words.next()?.split_once(':')?;
    let hex = |word: &str| u32::from_str_radix(word, 16).ok();
    let uid = words.nth(2)?.parse().ok()?;
    let inode = words.nth(1)?.parse().ok()?;
    Some(Socket {
        proto,
        family,
        local,
        lport,
        remote,
        rport,
        rqueue: hex(received)?,
        // The limit of a listener is not in the file.
        wqueue: if state == "LISTEN" { u32::MAX } else { hex(sent)? },
        state,
        ifindex: 0,
        inode,
        uid,
        cookie: 0,
        v6only: None,
        mark: None,
        cgroup_id: None,
        shutdown: None,
        congestion: None,
        mem: None,
        tcp: None,
        filter: None,
        owners: Reading::NotAsked,
        netns: 0,
    })
}

/// `0100007F:1F90`: words of the address as the CPU reads them, and the port.
fn end(family: Family, text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.split_once(':')?;
    let word = |index: usize| {
        let digits = address.get(index * 8..index * 8 + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    let address = match family {
        Family::Inet => IpAddr::from(word(0)?),
        Family::Inet6 => {
            let mut octets = [0; 16];
            for (index, place) in octets.chunks_exact_mut(4).enumerate() {
                place.copy_from_slice(&word(index)?);
            }
            IpAddr::from(octets)
        }
    };
    Some((address, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
#[cfg(target_endian = "little")]
mod tests {
    use super::*;

    #[test]
    fn lines_of_both_families() {
        let four = line(
            Proto::Tcp,
            Family::Inet,
            "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000003 00:00000000 00000000  1000        0 4711 1 0 100 0 0 10 0",
        )
        .unwrap();
        assert_eq!((four.local_text().as_str(), four.state.as_str()), ("127.0.0.1:8080", "LISTEN"));
        assert_eq!((four.rqueue, four.wqueue, four.uid, four.inode), (3, u32::MAX, 1000, 4711));
        let six = line(
            Proto::Udp,
            Family::Inet6,
            "1234: 00000000000000000000000001000000:0035 B80D0120000000000000000001000000:D431 01 00000005:00000000 00:00000000 00000000     0        0 99 2 0 7",
        )
        .unwrap();
        assert_eq!(six.local_text(), "[::1]:53");
        assert_eq!(six.remote, "2001:db8::1".parse::<IpAddr>().unwrap());
        assert_eq!((six.rport, six.wqueue, six.state.as_str()), (54321, 5, "ESTAB"));
    }

    #[test]
    fn other_lines_are_none() {
        for bad in [
            "",
            "0:",
            "0: 0100007F 0:0",
            "0: 0100007F:1F90 00000000:0000 0A 0:0",
            "0: 01:1 0:0 0A 0:0 0 0 0 0 0",
        ] {
            assert!(line(Proto::Tcp, Family::Inet, bad).is_none(), "{bad}");
        }
    }
}
