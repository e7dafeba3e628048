//! Who on the link answers to an address: ARP requests and neighbour solicitations, sent raw.
//!
//! Unlike the kernel's own resolution this hears everybody: two hardware addresses mean two holders of one address,
//! or a proxy. The neighbour table is not asked to do anything, and no entry comes to be in it; an entry that is
//! there may be refreshed by an answer, as by any ARP packet.
//!
//! Needs `CAP_NET_RAW`. Devices without Ethernet addresses resolve nothing and are `Unsupported`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use netwhy_capture::FlowFilter;
use netwhy_facts::path::NeighProbe;
use netwhy_facts::reading::Reading;
use netwhy_sys::packet::{Capture, Config, Direction, ETH_P_ALL, Layer, Sender};
use netwhy_sys::socket::source_for;
use netwhy_sys::{Result, SysError, clock, ioctl};
use netwhy_wire::packet::arp::{self, Arp};
use netwhy_wire::packet::ethernet::{BROADCAST, ETHERTYPE_ARP, ETHERTYPE_IPV6, Ethernet, Mac};
use netwhy_wire::packet::icmpv6::{Icmpv6, Neighbour};
use netwhy_wire::packet::ipv6::Ipv6;
use netwhy_wire::packet::{Ip, protocol};

use crate::{Budget, Wait};

/// The door, as a reading names it.
const SOURCE: &str = "ARP and neighbour discovery over AF_PACKET";
/// `ARPHRD_ETHER`.
const ETHERNET: u16 = 1;
/// Requests for one address, and the time between them.
const SENDS: u32 = 3;
const APART: Duration = Duration::from_millis(300);
/// After the first answer, others have this long.
const AFTERWARDS: Duration = Duration::from_millis(250);

/// Asks on `device` for `address`, which must be on that link. `source` is the address to ask from; `None` for the
/// one the kernel would take. What the budget does not cover is not sent.
#[must_use]
pub fn probe(
    device: &str,
    address: IpAddr,
    source: Option<IpAddr>,
    budget: &Budget,
    wait: &Wait<'_>,
) -> Reading<NeighProbe> {
    match run(device, address, source, budget, wait) {
        Ok(Some(fact)) => Reading::known(fact, SOURCE, clock::monotonic()),
        Ok(None) => Reading::unsupported(format!("{device} has no Ethernet address")),
        Err(error) if error.is_denied() => Reading::denied("CAP_NET_RAW"),
        Err(error) => Reading::failed(error),
    }
}

fn run(
    device: &str,
    address: IpAddr,
    source: Option<IpAddr>,
    budget: &Budget,
    wait: &Wait<'_>,
) -> Result<Option<NeighProbe>> {
    let (kind, mac) = ioctl::hardware_address(device)?;
    if kind != ETHERNET {
        return Ok(None);
    }
    let ifindex = ioctl::index_of(device)?;
    let filter = FlowFilter { tuples: Vec::new(), neighbours: vec![address] };
    let program = filter.program(128).map_err(|_| too_long())?;
    let mut capture = Capture::open(&Config {
        ifindex: Some(ifindex),
        protocol: ETH_P_ALL,
        layer: Layer::Network,
        filter: program,
        snap_length: 128,
        ignore_outgoing: true,
        block_size: 16 * 1024,
        blocks: 4,
        block_timeout: Duration::from_millis(4),
    })?;
    let sender = Sender::open(ifindex, Layer::Link)?;
    let source = match source {
        Some(source) => source,
        None => source_for(address, Some(device), None)?,
    };
    let Some(question) = question(Mac(mac), source, address) else { return Ok(None) };
    let mut fact = NeighProbe { addr: address, dev: device.to_owned(), answers: Vec::new(), sent: 0 };
    let mut end = None;
    for _ in 0..SENDS {
        if end.is_some() || wait.is_over() || !budget.take(1) {
            break;
        }
        sender.send(&question.frame, question.ethertype, &question.to.0)?;
        fact.sent += 1;
        let mut turn = wait.at_most(APART);
        loop {
            // Frames come in blocks; a look that ends early loses none of them.
            match capture.next(turn.next_look())? {
                Some(frame) if frame.direction != Direction::Outgoing => {
                    let Some(mac) = answer(frame.protocol, frame.data, frame.link_address, address) else {
                        continue;
                    };
                    let text = mac.to_string();
                    if !fact.answers.contains(&text) {
                        fact.answers.push(text);
                    }
                    let until = *end.get_or_insert(Instant::now() + AFTERWARDS);
                    turn.deadline = until.min(wait.deadline);
                }
                Some(_) => {}
                None if turn.is_over() => break,
                None => {}
            }
        }
    }
    Ok(Some(fact))
}

fn too_long() -> SysError {
    SysError::new("build a filter", "neighbour", netwhy_sys::Errno::EINVAL)
}

/// A question as a frame.
struct Question {
    frame: Vec<u8>,
    ethertype: u16,
    to: Mac,
}

/// `None` for addresses of two families.
fn question(mac: Mac, source: IpAddr, target: IpAddr) -> Option<Question> {
    let (to, ethertype, payload) = match (source, target) {
        (IpAddr::V4(source), IpAddr::V4(target)) => (BROADCAST, ETHERTYPE_ARP, request(mac, source, target)),
        (IpAddr::V6(source), IpAddr::V6(target)) => {
            let group = Neighbour::solicited_node(target);
            (Neighbour::multicast_mac(group), ETHERTYPE_IPV6, solicitation(mac, source, target, group))
        }
        _ => return None,
    };
    let frame = Ethernet { dst: to, src: mac, vlan: None, ethertype, payload: &payload }.emit();
    Some(Question { frame, ethertype, to })
}

fn request(mac: Mac, sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let nobody = Mac::default();
    Arp { operation: arp::REQUEST, sender_mac: mac, sender, target_mac: nobody, target }.emit().to_vec()
}

fn solicitation(mac: Mac, source: Ipv6Addr, target: Ipv6Addr, group: Ipv6Addr) -> Vec<u8> {
    let message = Neighbour { advert: false, target, link: Some(mac) }.emit(source, group);
    // Neighbour discovery is taken only with a hop limit that no router can have let through.
    Ipv6::new(source, group, protocol::ICMPV6, 255, &message).emit()
}

/// The hardware address in an answer about `target`.
fn answer(ethertype: u16, packet: &[u8], link: &[u8], target: IpAddr) -> Option<Mac> {
    match ethertype {
        ETHERTYPE_ARP => {
            let arp = Arp::parse(packet).ok()?;
            (arp.operation == arp::REPLY && IpAddr::from(arp.sender) == target).then_some(arp.sender_mac)
        }
        ETHERTYPE_IPV6 => {
            let Ok(Ip::V6(ip)) = Ip::parse(packet) else { return None };
            let (protocol::ICMPV6, message) = ip.upper()? else { return None };
            let nd = Icmpv6::parse(message).ok()?.neighbour()?;
            let from_frame = link.try_into().ok().map(Mac);
            (nd.advert && IpAddr::from(nd.target) == target && ip.hop_limit == 255)
                .then(|| nd.link.or(from_frame))
                .flatten()
        }
        // The filter lets nothing else through.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{address, namespace, wire};
    use netwhy_sys::netns::Netns;

    fn asked(device: &str, target: &str) -> Reading<NeighProbe> {
        let wait = Wait::until(Instant::now() + Duration::from_secs(3));
        probe(device, target.parse().unwrap(), None, &Budget::new(10), &wait)
    }

    fn answers(device: &str, target: &str) -> (Vec<String>, u32) {
        match asked(device, target) {
            Reading::Known { value, .. } => (value.answers, value.sent),
            absent => panic!("{absent:?}"),
        }
    }

    fn mac_of(namespace: &Netns, device: &str) -> String {
        let address = namespace.run(|| ioctl::hardware_address(device).unwrap().1);
        Mac(address.unwrap()).to_string()
    }

    #[test]
    fn the_holder_answers_and_nobody_else() {
        let (Some(here), Some(there)) = (namespace(), namespace()) else { return };
        wire(&here, "a", &there, "b");
        there
            .run(|| {
                address("b", "198.51.100.2", 24);
                address("b", "2001:db8::2", 64);
            })
            .unwrap();
        let mac = mac_of(&there, "b");
        here.run(|| {
            address("a", "198.51.100.1", 24);
            address("a", "2001:db8::1", 64);
            for target in ["198.51.100.2", "2001:db8::2"] {
                assert_eq!(answers("a", target), (vec![mac.clone()], 1), "{target}");
            }
            for target in ["198.51.100.9", "2001:db8::9"] {
                assert_eq!(answers("a", target), (vec![], 3), "{target}");
            }
            // Nothing was learned, not even of the one that answered.
            let table = std::fs::read_to_string("/proc/thread-self/net/arp").unwrap();
            assert!(!table.contains("198.51.100."), "{table}");
            assert!(matches!(asked("lo", "127.0.0.1"), Reading::Unsupported { .. }));
            assert!(matches!(asked("no-such-dev0", "198.51.100.2"), Reading::Failed { .. }));
        })
        .unwrap();
    }

    #[test]
    fn two_holders_are_both_heard() {
        let (Some(here), Some(there)) = (namespace(), namespace()) else { return };
        wire(&here, "a", &there, "b");
        let Some(third) = namespace() else { return };
        let bridged = crate::testing::bridge(&here, "br", &["a"], &third, "c");
        if !bridged {
            return;
        }
        for (side, device) in [(&there, "b"), (&third, "c")] {
            side.run(|| {
                address(device, "198.51.100.2", 24);
                address(device, "2001:db8::2", 64);
            })
            .unwrap();
        }
        let mut both = [mac_of(&there, "b"), mac_of(&third, "c")];
        both.sort();
        here.run(|| {
            address("br", "198.51.100.1", 24);
            address("br", "2001:db8::1", 64);
            for target in ["198.51.100.2", "2001:db8::2"] {
                let (mut found, _) = answers("br", target);
                found.sort();
                assert_eq!(found, both, "{target}");
            }
        })
        .unwrap();
    }

    #[test]
    fn without_the_privilege_it_says_which_one() {
        let (Some(here), Some(there)) = (namespace(), namespace()) else { return };
        wire(&here, "a", &there, "b");
        here.run(|| {
            netwhy_sys::caps::keep_only(netwhy_sys::caps::CapSet::EMPTY).unwrap();
            assert!(
                matches!(asked("a", "198.51.100.2"), Reading::Denied { needs } if needs == "CAP_NET_RAW")
            );
        })
        .unwrap();
    }

    #[test]
    fn only_answers_about_the_address_count() {
        let target: IpAddr = "198.51.100.2".parse().unwrap();
        let arp = |operation, sender: [u8; 4]| {
            Arp {
                operation,
                sender_mac: Mac([2; 6]),
                sender: sender.into(),
                target_mac: Mac::default(),
                target: [198, 51, 100, 1].into(),
            }
            .emit()
        };
        assert_eq!(answer(ETHERTYPE_ARP, &arp(2, [198, 51, 100, 2]), &[], target), Some(Mac([2; 6])));
        assert_eq!(answer(ETHERTYPE_ARP, &arp(1, [198, 51, 100, 2]), &[], target), None);
        assert_eq!(answer(ETHERTYPE_ARP, &arp(2, [198, 51, 100, 3]), &[], target), None);
        let six: Ipv6Addr = "2001:db8::2".parse().unwrap();
        let advert = |link, hops| {
            let message = Neighbour { advert: true, target: six, link }.emit(six, six);
            Ipv6::new(six, six, protocol::ICMPV6, hops, &message).emit()
        };
        let found = |packet: &[u8]| answer(ETHERTYPE_IPV6, packet, &[4; 6], six.into());
        assert_eq!(found(&advert(Some(Mac([3; 6])), 255)), Some(Mac([3; 6])));
        assert_eq!(found(&advert(None, 255)), Some(Mac([4; 6])));
        assert_eq!(found(&advert(None, 64)), None, "from beyond a router");
    }
}
