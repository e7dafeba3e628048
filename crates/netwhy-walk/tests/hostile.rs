//! Programs no tool would write: whatever expressions a ruleset holds, writing it down and walking it ends without panic.
//!
//! Anybody with a user namespace can put a ruleset before netwhy; numbers in it may be anything the kernel's attributes
//! hold, and what is not valid for the kernel may come from a recording.

mod support;

use netwhy_facts::Proto;
use netwhy_facts::nft::*;
use netwhy_walk::{element_text, rule_spec, rule_text, rule_text_named};
use proptest::prelude::*;
use support::*;

/// Numbers and bytes from the bytes proptest makes, so that a failing program shrinks.
struct Dice<'a> {
    bytes: std::slice::Iter<'a, u8>,
    depth: u32,
}

impl Dice<'_> {
    fn byte(&mut self) -> u8 {
        self.bytes.next().copied().unwrap_or(0)
    }
    fn below(&mut self, n: u8) -> u8 {
        self.byte() % n
    }
    fn yes(&mut self) -> bool {
        self.byte() & 1 == 1
    }
    /// Small numbers mostly, as real programs have; and the edges.
    fn word(&mut self) -> u32 {
        match self.below(8) {
            0 => u32::MAX,
            1 => u32::MAX / 8 + 1,
            2 => 1 << 31,
            3 => u32::from(self.byte()) << 16,
            4 => 0xffff_ff00,
            _ => u32::from(self.below(40)),
        }
    }
    fn long(&mut self) -> u64 {
        if self.yes() { u64::from(self.word()) } else { u64::MAX - u64::from(self.byte()) }
    }
    fn register(&mut self) -> u32 {
        match self.below(6) {
            0 => 0,
            1 => u32::from(self.below(5)),
            2 => self.word(),
            _ => 8 + u32::from(self.below(17)),
        }
    }
    fn data(&mut self) -> Vec<u8> {
        let len = match self.below(8) {
            0 => 0,
            1 => self.below(70),
            2 => 16,
            n => n,
        };
        (0..len).map(|_| self.byte()).collect()
    }
    fn maybe<T>(&mut self, f: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.yes().then(|| f(self))
    }
    fn name(&mut self) -> String {
        ["s", "m", "v", "c", "none", "\u{1b}[31m\"", ""][usize::from(self.below(7))].to_owned()
    }
    fn base(&mut self) -> PayloadBase {
        use PayloadBase::*;
        [Link, Network, Transport, Inner, Tunnel][usize::from(self.below(5))]
    }
    fn verdict(&mut self) -> NftVerdict {
        match self.below(9) {
            0 => NftVerdict::Accept,
            1 => NftVerdict::Drop,
            2 => NftVerdict::Queue(u16::from(self.byte())),
            3 => NftVerdict::Continue,
            4 => NftVerdict::Break,
            5 => NftVerdict::Return,
            6 => NftVerdict::Jump(["sub", "in", "none"][usize::from(self.below(3))].to_owned()),
            7 => NftVerdict::Goto(["sub", "in", "none"][usize::from(self.below(3))].to_owned()),
            _ => NftVerdict::Other(self.word() as i32),
        }
    }
    fn value(&mut self) -> Data {
        if self.below(4) == 0 { Data::Verdict(self.verdict()) } else { Data::Value(self.data()) }
    }
    fn exprs(&mut self, most: u8) -> Vec<Expr> {
        if self.depth > 3 {
            return Vec::new();
        }
        self.depth += 1;
        let all = (0..self.below(most)).map(|_| self.expr()).collect();
        self.depth -= 1;
        all
    }

    fn expr(&mut self) -> Expr {
        match self.below(46) {
            0..=3 => Expr::Payload {
                base: self.base(),
                offset: self.word(),
                len: self.word(),
                dreg: self.register(),
            },
            4 => Expr::PayloadSet {
                base: self.base(),
                offset: self.word(),
                len: self.word(),
                sreg: self.register(),
                csum_type: self.word(),
                csum_offset: self.word(),
                csum_flags: self.word(),
            },
            5 | 6 => Expr::Meta { key: self.word(), dreg: self.register() },
            7 => Expr::MetaSet { key: self.word(), sreg: self.register() },
            8 => Expr::Ct { key: self.word(), dir: self.maybe(Self::byte), dreg: self.register() },
            9 => Expr::CtSet { key: self.word(), dir: self.maybe(Self::byte), sreg: self.register() },
            10..=12 => {
                use CmpOp::*;
                let op = [Eq, Neq, Lt, Lte, Gt, Gte][usize::from(self.below(6))];
                Expr::Cmp { op, sreg: self.register(), data: self.data() }
            }
            13 => {
                Expr::Range { negate: self.yes(), sreg: self.register(), from: self.data(), to: self.data() }
            }
            14..=16 => {
                let op = match self.below(6) {
                    0 => BitwiseOp::Lshift(self.word()),
                    1 => BitwiseOp::Rshift(self.word()),
                    2 => BitwiseOp::And { sreg2: self.register() },
                    3 => BitwiseOp::Or { sreg2: self.register() },
                    4 => BitwiseOp::Xor { sreg2: self.register() },
                    _ => BitwiseOp::MaskXor { mask: self.data(), xor: self.data() },
                };
                Expr::Bitwise { sreg: self.register(), dreg: self.register(), len: self.word(), op }
            }
            17 => Expr::Byteorder {
                sreg: self.register(),
                dreg: self.register(),
                op: self.word(),
                len: self.word(),
                size: self.word(),
            },
            18 | 19 => Expr::Lookup {
                set: self.name(),
                sreg: self.register(),
                dreg: self.maybe(Self::register),
                invert: self.yes(),
            },
            20 | 21 => Expr::Immediate { dreg: self.register(), data: self.value() },
            22 => Expr::Counter { packets: self.long(), bytes: self.long() },
            23 => Expr::Limit {
                rate: self.long(),
                unit_s: self.long(),
                burst: self.word(),
                per_packet: self.yes(),
                over: self.yes(),
            },
            24 => Expr::Quota { bytes: self.long(), consumed: self.long(), over: self.yes() },
            25 => Expr::Connlimit { count: self.word(), over: self.yes() },
            26 => Expr::Numgen {
                dreg: self.register(),
                modulus: self.word(),
                ng_type: self.word(),
                offset: self.word(),
            },
            27 => Expr::Hash {
                sreg: self.maybe(Self::register),
                dreg: self.register(),
                len: self.word(),
                modulus: self.word(),
                seed: self.maybe(Self::word),
                offset: self.word(),
                hash_type: self.word(),
            },
            28 => Expr::Fib { dreg: self.register(), result: self.word(), flags: self.word() },
            29 => Expr::Rt { key: self.word(), dreg: self.register() },
            30 => Expr::Socket { key: self.word(), level: self.word(), dreg: self.register() },
            31 => Expr::Exthdr {
                dreg: self.register(),
                hdr_type: self.byte(),
                offset: self.word(),
                len: self.word(),
                op: self.word(),
                present: self.yes(),
            },
            32 => Expr::ExthdrSet {
                sreg: self.register(),
                hdr_type: self.byte(),
                offset: self.word(),
                len: self.word(),
                op: self.word(),
            },
            33 => Expr::Nat {
                nat_type: self.word(),
                family: self.word(),
                addr_min: self.maybe(Self::register),
                addr_max: self.maybe(Self::register),
                proto_min: self.maybe(Self::register),
                proto_max: self.maybe(Self::register),
                flags: self.word(),
            },
            34 => Expr::Masq {
                flags: self.word(),
                proto_min: self.maybe(Self::register),
                proto_max: self.maybe(Self::register),
            },
            35 => Expr::Reject { reject_type: self.word(), code: self.byte() },
            36 => Expr::Tproxy {
                family: self.word(),
                addr: self.maybe(Self::register),
                port: self.maybe(Self::register),
            },
            37 => Expr::Queue {
                num: self.word() as u16,
                total: self.word() as u16,
                flags: self.word() as u16,
                sreg: self.maybe(Self::register),
            },
            38 => Expr::Log {
                group: self.maybe(|d| d.word() as u16),
                prefix: self.name(),
                snaplen: self.word(),
                level: self.maybe(Self::word),
                flags: self.word(),
                queue_threshold: self.word() as u16,
            },
            39 => Expr::Fwd {
                dev: self.register(),
                addr: self.maybe(Self::register),
                family: self.maybe(Self::word),
            },
            40 => Expr::Dynset {
                set: self.name(),
                op: self.word(),
                key: self.register(),
                data: self.maybe(Self::register),
                timeout_ms: self.maybe(Self::long),
                invert: self.yes(),
                exprs: self.exprs(4),
            },
            41 => Expr::ObjrefMap { set: self.name(), sreg: self.register() },
            42 => Expr::Synproxy { mss: self.word() as u16, wscale: self.byte(), flags: self.word() },
            43 => {
                Expr::Xfrm { key: self.word(), dir: self.byte(), spnum: self.word(), dreg: self.register() }
            }
            44 if self.depth < 3 => {
                self.depth += 1;
                let expr = Box::new(self.expr());
                self.depth -= 1;
                Expr::Inner { inner_type: self.word(), hdrsize: self.word(), flags: self.word(), expr }
            }
            _ => Expr::Redir {
                flags: self.word(),
                proto_min: self.maybe(Self::register),
                proto_max: self.maybe(Self::register),
            },
        }
    }

    fn set(&mut self, name: &str) -> NftSet {
        let elements = (0..self.below(5))
            .map(|_| NftElem {
                key: self.data(),
                key_end: self.maybe(Self::data),
                flags: self.word(),
                data: self.maybe(Self::value),
                expires_ms: self.maybe(Self::long),
                exprs: self.exprs(3),
                ..NftElem::default()
            })
            .collect();
        NftSet {
            family: NftFamily::Inet,
            table: "t".into(),
            name: name.into(),
            flags: self.word(),
            key_type: self.word(),
            key_len: self.word(),
            data_type: self.maybe(Self::word),
            data_len: self.maybe(Self::word),
            field_lens: (0..self.below(4)).map(|_| self.word()).collect(),
            elements,
            elements_read: true,
            ..NftSet::default()
        }
    }
}

fn write_down(nft: &Nft) {
    for rule in &nft.rules {
        let (plain, named) = (rule_text(nft, rule), rule_text_named(nft, rule, &|_| Some("eth0".into())));
        assert!(!plain.contains('\u{1b}') || !named.is_empty());
        rule_spec(nft, rule, &|_| None);
    }
    for set in &nft.sets {
        for element in &set.elements {
            element_text(set, element);
        }
    }
}

fn run(bytes: &[u8]) {
    let mut dice = Dice { bytes: bytes.iter(), depth: 0 };
    let mut host = Host::default();
    for (name, num) in [("pre", 0), ("in", 1), ("out", 3), ("post", 4)] {
        let kind = if dice.yes() { "nat" } else { "filter" };
        host.chain(NftFamily::Inet, name, kind, num, 0, 1);
    }
    host.user_chain(NftFamily::Inet, "sub");
    for name in ["s", "m", "v", "c"] {
        let set = dice.set(name);
        host.nft.sets.push(set);
    }
    for chain in ["pre", "in", "out", "post", "sub", "in", "out"] {
        let exprs = dice.exprs(8);
        host.nft_rule(NftFamily::Inet, chain, exprs);
    }
    write_down(&host.nft);
    for proto in [Proto::Tcp, Proto::Udp, Proto::Icmp] {
        host.out(proto, "203.0.113.2", 80);
        host.arrive(2, proto, "198.51.100.7", "198.51.100.1", 80);
        host.arrive(2, proto, "2001:db8:1::7", "2001:db8:1::1", 80);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_program_is_written_down_and_walked_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..700)) {
        run(&bytes);
    }
}

#[test]
fn an_offset_near_the_end_of_numbers_is_written_down() {
    let mut host = Host::default();
    host.chain(NftFamily::Inet, "out", "filter", 3, 0, 1);
    for base in [PayloadBase::Link, PayloadBase::Network, PayloadBase::Transport, PayloadBase::Inner] {
        for (offset, len) in [(u32::MAX, u32::MAX), (1 << 29, 4), (2, u32::MAX)] {
            let exprs = vec![Expr::Payload { base, offset, len, dreg: 1 }, eq(&[0, 80])];
            host.nft_rule(NftFamily::Inet, "out", exprs);
        }
    }
    write_down(&host.nft);
    host.out(Proto::Tcp, "203.0.113.2", 80);
}
