//! Against the running kernel; none needs privileges unless it says so.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::*;
use crate::testing::{NewNet, attribute, new_netns, veth};

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_GETROUTE: u16 = 26;
const IFINFOMSG: [u8; 16] = [0; 16];

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[test]
fn a_dump_lists_the_loopback_device() {
    let mut socket = Socket::open(Protocol::Route).unwrap();
    let links = socket.dump_vec(RTM_GETLINK, 0, &IFINFOMSG).unwrap();
    assert!(links.iter().all(|link| link.kind == RTM_NEWLINK));
    assert!(links.iter().any(|link| holds(&link.payload, b"\x07\0\x03\0lo\0")));
}

#[test]
fn a_socket_is_bound_and_hears_only_the_kernel() {
    let mut victim = Socket::open(Protocol::Route).unwrap();
    assert_ne!(victim.port(), 0);
    // Another process could send; without privilege the kernel refuses, with it the reader does.
    let liar = Socket::open(Protocol::Route).unwrap();
    let mut address = [0; 12];
    address[..2].copy_from_slice(&(libc::AF_NETLINK as u16).to_ne_bytes());
    address[4..8].copy_from_slice(&victim.port().to_ne_bytes());
    let mut lie = Vec::new();
    message::append(&mut lie, RTM_NEWLINK, 0, 1, &IFINFOMSG);
    let _ = fd::send_to(liar.as_fd(), &lie, &address, 0);
    assert!(victim.recv_raw(Instant::now() + Duration::from_millis(20)).unwrap().is_none());
    assert!(!victim.dump_vec(RTM_GETLINK, 0, &IFINFOMSG).unwrap().is_empty());
}

#[test]
fn a_dump_that_is_left_early_does_not_block_the_next() {
    let mut socket = Socket::open(Protocol::Route).unwrap();
    // Enough tables' worth of answers that the kernel pauses between datagrams is not certain here; leaving
    // after the first message and asking again at once must work in any case.
    for _ in 0..50 {
        let mut count = 0;
        socket
            .dump(RTM_GETLINK, 0, &IFINFOMSG, |_, _| {
                count += 1;
                ControlFlow::Break(())
            })
            .unwrap();
        assert_eq!(count, 1);
    }
    assert!(!socket.dump_vec(RTM_GETLINK, 0, &IFINFOMSG).unwrap().is_empty());
}

#[test]
fn a_refusal_carries_the_kernels_words() {
    let mut socket = Socket::open(Protocol::Route).unwrap();
    let mut payload = IFINFOMSG.to_vec();
    payload[4..8].copy_from_slice(&0x7fff_0000u32.to_ne_bytes());
    let error = socket.request(RTM_GETLINK, 0, &payload).unwrap_err();
    assert_eq!(error.errno(), Some(Errno::ENODEV));

    // struct rtmsg with an RTA_OIF of 3 bytes: refused with the attribute's place.
    let mut payload = vec![libc::AF_INET as u8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    attribute(&mut payload, 4, &[1, 0, 0]);
    let NetlinkError::Refused(refusal) = socket.request(RTM_GETROUTE, 0, &payload).unwrap_err() else {
        panic!("not a refusal");
    };
    assert!(refusal.message.is_some(), "{refusal}");
    assert_eq!((refusal.offset, refusal.attribute), (Some(28), Some(4)), "{refusal}");
}

#[test]
fn a_sloppy_header_is_asked_again_without_strictness() {
    let mut socket = Socket::open(Protocol::Route).unwrap();
    if !socket.is_strict() {
        println!("skipped: this kernel has no NETLINK_GET_STRICT_CHK");
        return;
    }
    // One byte of family is what old programs sent; strict checking wants a whole ifinfomsg.
    let links = socket.dump_vec(RTM_GETLINK, 0, &[0, 0, 0, 0]).unwrap();
    assert!(!links.is_empty() && !socket.is_strict());
}

#[test]
fn a_failed_dump_is_an_error_and_not_an_empty_list() {
    let mut socket = Socket::open(Protocol::SockDiag).unwrap();
    // inet_diag_req_v2 for protocol 200, which nobody answers for.
    let mut request = vec![libc::AF_INET as u8, 200, 0, 0, 0xff, 0xff, 0xff, 0xff];
    request.resize(56, 0);
    let error = socket.dump_vec(20, 0, &request).unwrap_err();
    assert!(matches!(error, NetlinkError::Refused(_)), "{error}");
}

#[test]
fn events_arrive_and_an_order_is_acknowledged() {
    let NewNet::Here(()) = new_netns(|| {
        let mut listener = Socket::open(Protocol::Route).unwrap();
        listener.join(1).unwrap();
        let mut socket = Socket::open(Protocol::Route).unwrap();
        socket.ack(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &veth("nwt0", "nwt1")).unwrap();
        let mut seen = Vec::new();
        listener
            .recv_events(Instant::now() + Duration::from_secs(5), |event| {
                seen.push(event.kind);
                if holds(event.payload, b"nwt0\0") {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            })
            .unwrap();
        assert!(seen.contains(&RTM_NEWLINK), "{seen:?}");
        let again = socket.ack(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &veth("nwt0", "nwt1")).unwrap_err();
        assert_eq!(again.errno(), Some(Errno::EEXIST));
    }) else {
        return;
    };
}

#[test]
fn lost_events_are_said_to_be_lost() {
    let NewNet::Here(()) = new_netns(|| {
        let mut listener = Socket::open(Protocol::Route).unwrap();
        fd::set_int(listener.as_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, 4096, "").unwrap();
        listener.join(1).unwrap();
        let mut socket = Socket::open(Protocol::Route).unwrap();
        for _ in 0..20 {
            socket.ack(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &veth("nwt0", "nwt1")).unwrap();
            let mut payload = IFINFOMSG.to_vec();
            attribute(&mut payload, 3, b"nwt0\0");
            socket.ack(RTM_DELLINK, 0, &payload).unwrap();
        }
        let result = listener.recv_events(Instant::now(), |_| ControlFlow::Continue(()));
        assert_eq!(result, Err(NetlinkError::Lost { protocol: Protocol::Route }));
        assert!(listener.recv_events(Instant::now(), |_| ControlFlow::Continue(())).is_ok());
    }) else {
        return;
    };
}

#[test]
fn a_listing_that_changes_is_read_again_or_said_to_be_unsound() {
    let NewNet::Here(()) = new_netns(|| {
        let mut writer = Socket::open(Protocol::Route).unwrap();
        for index in 0..400 {
            let name = format!("nwt{index}");
            writer
                .ack(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &veth(&name, &format!("peer{index}")))
                .unwrap();
        }
        let mut socket = Socket::open(Protocol::Route).unwrap();
        // Changing the list from inside the reading makes the interruption certain.
        let mut serial = 1000;
        let mut change = || {
            serial += 1;
            writer
                .ack(
                    RTM_NEWLINK,
                    NLM_F_CREATE | NLM_F_EXCL,
                    &veth(&format!("nwt{serial}"), &format!("peer{serial}")),
                )
                .unwrap();
        };
        let mut count = 0;
        let once = socket.dump(RTM_GETLINK, 0, &IFINFOMSG, |_, _| {
            count += 1;
            if count == 1 {
                change();
            }
            ControlFlow::Continue(())
        });
        assert!(matches!(once, Err(NetlinkError::Interrupted { tries: 1, .. })), "{once:?}");
        // A change in the first try only: the second is sound.
        let mut tries = 0;
        let links = socket.dump_into(
            RTM_GETLINK,
            0,
            &IFINFOMSG,
            || {
                tries += 1;
                (tries, 0)
            },
            |state, _, _| {
                state.1 += 1;
                if *state == (1, 1) {
                    change();
                }
                ControlFlow::Continue(())
            },
        );
        assert_eq!(links.unwrap(), (2, 1 + 2 * 402));
        // A change in every try: given up after five.
        let never = socket.dump_into(
            RTM_GETLINK,
            0,
            &IFINFOMSG,
            || 0,
            |state, _, _| {
                *state += 1;
                if *state == 1 {
                    change();
                }
                ControlFlow::Continue(())
            },
        );
        assert!(matches!(never, Err(NetlinkError::Interrupted { tries: 5, .. })), "{never:?}");
    }) else {
        return;
    };
}

#[test]
fn a_batch_is_all_or_nothing_and_names_every_refused_message() {
    const NEWTABLE: u16 = 10 << 8;
    const GETTABLE: u16 = 10 << 8 | 1;
    const NEWCHAIN: u16 = 10 << 8 | 3;
    let message = |kind, name: &str, chain: Option<&str>| {
        let mut payload = vec![libc::AF_INET as u8, 0, 0, 0];
        attribute(&mut payload, 1, format!("{name}\0").as_bytes());
        if let Some(chain) = chain {
            attribute(&mut payload, 3, format!("{chain}\0").as_bytes());
        }
        BatchMessage { kind, flags: NLM_F_CREATE, payload }
    };
    let NewNet::Here(()) = new_netns(|| {
        let mut socket = Socket::open(Protocol::Netfilter).unwrap();
        let bad = [
            message(NEWTABLE, "good", None),
            message(NEWCHAIN, "absent", Some("c")),
            message(NEWCHAIN, "good", Some("c")),
            message(NEWCHAIN, "gone", Some("c")),
        ];
        let error = socket.batch(10, &bad).unwrap_err();
        if let BatchError::Refused(refusals) = &error
            && refusals.iter().all(|(index, refusal)| index.is_none() && refusal.errno == Errno::EOPNOTSUPP)
        {
            println!("skipped: this kernel has no nftables");
            return;
        }
        let BatchError::Refused(refusals) = error else { panic!("{error}") };
        let places: Vec<_> = refusals.iter().map(|(index, refusal)| (*index, refusal.errno)).collect();
        assert_eq!(places, [(Some(1), Errno::ENOENT), (Some(3), Errno::ENOENT)]);
        let header = [0, 0, 0, 0];
        assert_eq!(socket.dump_vec(GETTABLE, 0, &header).unwrap(), [], "the good half was undone");

        let mut good = message(NEWTABLE, "good", None);
        good.flags |= NLM_F_ECHO;
        let echo = socket.batch(10, &[good, message(NEWCHAIN, "good", Some("c"))]).unwrap();
        assert!(echo.iter().any(|reply| reply.kind == NEWTABLE), "{echo:?}");
        assert_eq!(socket.dump_vec(GETTABLE, 0, &header).unwrap().len(), 1);
    }) else {
        return;
    };
}
