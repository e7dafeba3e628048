//! Kinds that few kernels have, from messages written after the kernel's headers.

use netwhy_wire::netlink::Builder;

use super::*;

/// A message of a qdisc, class or filter on device 3.
fn message(handle: u32, parent: u32, info: u32, kind: &str, options: impl FnOnce(&mut Builder)) -> Vec<u8> {
    let mut header = [0; HEADER];
    for (offset, word) in [(4, 3), (8, handle), (12, parent), (16, info)] {
        header[offset..offset + 4].copy_from_slice(&word.to_ne_bytes());
    }
    let mut message = Builder::with_header(&header);
    message.str(1, kind);
    options(&mut message);
    message.finish().unwrap()
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn qdisc(kind: &str, options: impl FnOnce(&mut Builder)) -> Qdisc {
    decode_qdisc(&message(0x1_0000, u32::MAX, 2, kind, options)).unwrap().0
}

#[test]
fn netem_says_what_it_spoils() {
    let qdisc = qdisc("netem", |message| {
        let mut data = words(&[312_500, 1000, u32::MAX / 10, 0, u32::MAX / 100, 0]);
        let mut rest = Builder::new();
        rest.bytes(4, &words(&[u32::MAX / 50, 0]));
        rest.u64(10, 20_000_000).u64(11, 5_000_000);
        rest.bytes(6, &words(&[125_000, 0, 0, 0]));
        data.extend(rest.finish().unwrap());
        message.bytes(2, &data);
    });
    let expected = [
        ("corrupt_percent", "2"),
        ("delay_us", "20000"),
        ("duplicate_percent", "1"),
        ("gap_packets", "0"),
        ("jitter_us", "5000"),
        ("limit_packets", "1000"),
        ("loss_percent", "10"),
        ("rate_bytes", "125000"),
    ];
    let ours: Vec<_> = qdisc.options.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(ours, expected);
}

#[test]
fn fq_codel_with_its_own_statistics() {
    let qdisc = qdisc("fq_codel", |message| {
        message.nest(2, |options| {
            options.u32(1, 4999).u32(2, 10240).u32(3, 99_999).u32(4, 1).u32(5, 1024).u32(6, 1514);
        });
        message.nest(7, |stats| {
            let mut basic = 70_000_u64.to_ne_bytes().to_vec();
            basic.extend(words(&[900, 0]));
            stats.bytes(1, &basic).bytes(3, &words(&[2, 3000, 7, 1, 9])).u64(8, 5_000_000_000);
            stats.bytes(4, &words(&[0, 1514, 6, 0, 11, 1, 2, 0, 4096, 1]));
        });
    });
    assert_eq!(qdisc.stats.drops, 7);
    assert_eq!(qdisc.stats.packets, 5_000_000_000, "64 bits where the kernel has them");
    assert_eq!((qdisc.stats.qlen_packets, qdisc.stats.backlog_bytes, qdisc.stats.overlimits), (2, 3000, 9));
    let at = |name: &str| qdisc.options[name].as_str();
    assert_eq!((at("target_us"), at("limit_packets"), at("quantum_bytes")), ("4999", "10240", "1514"));
    assert_eq!((at("stat_drop_overlimit"), at("stat_drop_overmemory")), ("6", "1"));
}

#[test]
fn a_kind_nobody_knows_says_so() {
    let qdisc = qdisc("dualpi2", |message| {
        message.nest(2, |options| {
            options.u32(1, 7);
        });
    });
    assert_eq!(qdisc.options["unknown"], "dualpi2");
}

fn filter(kind: &str, options: impl FnOnce(&mut Builder)) -> Option<TcFilter> {
    let info = 7 << 16 | u32::from(0x800_u16.to_be());
    decode_filter(&message(0x8000_0800, INGRESS, info, kind, options)).unwrap()
}

#[test]
fn flower_keys_in_words_and_the_rest_named() {
    let filter = filter("flower", |message| {
        message.nest(2, |options| {
            options.be16(8, 0x800).u8(9, 6);
            options.ip(10, "198.51.100.0".parse().unwrap()).ip(11, "255.255.255.0".parse().unwrap());
            options.be16(19, 443).be16(36, 0xffff).be16(71, 2).be16(72, 0x17);
            options.u32(26, 5);
            options.nest(3, |actions| {
                actions.nest(1, |action| {
                    action.str(1, "gact").nest(2, |data| {
                        data.bytes(2, &words(&[1, 0, 2, 1, 1]));
                    });
                    action.nest(4, |stats| {
                        stats.bytes(3, &words(&[0, 0, 12, 0, 0]));
                    });
                });
                actions.nest(2, |action| {
                    action.str(1, "police").nest(2, |data| {
                        let mut police = words(&[1, 2, 0, 1_000_000, 2047]);
                        police.extend([0, 1, 0, 0, 0, 0, 0, 0]);
                        police.extend(words(&[125_000, 0, 0, 0, 0, 0, 0]));
                        data.bytes(1, &police).u32(5, 3);
                    });
                });
            });
        });
    });
    let filter = filter.unwrap();
    assert_eq!((filter.pref, filter.protocol, filter.ifindex), (7, 0x800, 3));
    let at = |name: &str| filter.options[name].as_str();
    assert_eq!((at("eth_type"), at("ip_proto"), at("dst_port")), ("0x0800", "6", "443"));
    assert_eq!((at("src_ip"), at("tcp_flags")), ("198.51.100.0/255.255.255.0", "0x2/0x17"));
    assert_eq!(at("unknown"), "26", "a key this build cannot judge");
    assert_eq!((filter.actions[0].kind.as_str(), filter.actions[0].control.as_str()), ("gact", "shot"));
    assert_eq!(filter.actions[0].stats.drops, 12);
    let police = &filter.actions[1];
    assert_eq!((police.control.as_str(), police.options["conform"].as_str()), ("shot", "pipe"));
    assert_eq!(
        (police.options["rate_bytes"].as_str(), police.options["burst_bytes"].as_str()),
        ("125000", "8000")
    );
}

#[test]
fn matchall_and_basic_and_fw() {
    let gone = filter("matchall", |message| {
        message.nest(2, |options| {
            options.u32(1, 0x1_0001).u32(3, 2);
        });
    });
    let gone = gone.unwrap();
    assert_eq!((gone.classid, gone.options["skip_sw"].as_str()), (Some(0x1_0001), "yes"));
    let basic = filter("basic", |message| {
        message.nest(2, |options| {
            options.nest(2, |tree| {
                tree.u32(1, 1);
            });
        });
    });
    assert_eq!(basic.unwrap().options["unknown"], "2");
    let fw = filter("fw", |message| {
        message.nest(2, |options| {
            options.u32(5, 0xff);
        });
    });
    assert_eq!(fw.unwrap().options["mark"], "0x80000800/0xff");
    assert!(filter("flower", |_| ()).is_none(), "the head of a preference");
}

#[test]
fn a_u32_key_behind_a_computed_offset_is_not_guessed() {
    let with = |offset_mask: u32| {
        filter("u32", |message| {
            message.nest(2, |options| {
                let mut selector = vec![0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
                selector.extend(0xffff_u32.to_be_bytes());
                selector.extend(443_u32.to_be_bytes());
                selector.extend(words(&[20, offset_mask]));
                options.bytes(5, &selector);
            });
        })
        .unwrap()
        .u32_keys
    };
    assert_eq!(with(0), Some(vec![(20, 0xffff, 443)]));
    assert_eq!(with(u32::MAX), None);
}
