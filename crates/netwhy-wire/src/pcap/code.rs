//! The tree as classic BPF (uapi `linux/filter.h`), counting from the network header.

use std::net::IpAddr;

use super::{Arith, Dir, Expr, Header, Net, Op, Relation, Test};

/// One instruction (`struct sock_filter`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Insn {
    /// Operation.
    pub code: u16,
    /// Instructions to skip when the condition holds.
    pub jt: u8,
    /// Instructions to skip when it does not.
    pub jf: u8,
    /// Constant.
    pub k: u32,
}

/// Offsets from here on count from the network header (`SKF_NET_OFF`).
pub const NET: u32 = -0x10_0000_i32 as u32;
/// Loading a word from here gives the EtherType (`SKF_AD_OFF + SKF_AD_PROTOCOL`).
pub const AD_PROTOCOL: u32 = -0x1000_i32 as u32;
/// What an accepted packet returns: all of its bytes.
pub const ACCEPT: u32 = 0x4_0000;

/// Opcodes: `A` is the accumulator, `X` the index register, `M` the scratch memory, `k` the constant.
#[allow(missing_docs)]
pub mod op {
    pub const LD_W: u16 = 0x20; // A = P[k:4]
    pub const LD_H: u16 = 0x28; // A = P[k:2]
    pub const LD_B: u16 = 0x30; // A = P[k:1]
    pub const LD_W_X: u16 = 0x40; // A = P[X+k:4]
    pub const LD_H_X: u16 = 0x48; // A = P[X+k:2]
    pub const LD_B_X: u16 = 0x50; // A = P[X+k:1]
    pub const LD_LEN: u16 = 0x80; // A = length
    pub const LD_IMM: u16 = 0x00; // A = k
    pub const LD_MEM: u16 = 0x60; // A = M[k]
    pub const LDX_MEM: u16 = 0x61; // X = M[k]
    pub const LDX_MSH: u16 = 0xb1; // X = 4*(P[k:1]&0xf)
    pub const ST: u16 = 0x02; // M[k] = A
    pub const TAX: u16 = 0x07; // X = A
    pub const ADD_X: u16 = 0x0c; // A += X
    pub const ALU: u16 = 0x04; // A op= k; with X_SRC A op= X
    pub const X_SRC: u16 = 0x08;
    pub const AND: u16 = 0x54; // A &= k
    pub const JA: u16 = 0x05; // skip k
    pub const JEQ: u16 = 0x15; // A == k; with X_SRC A == X
    pub const JGT: u16 = 0x25;
    pub const JGE: u16 = 0x35;
    pub const JSET: u16 = 0x45;
    pub const RET: u16 = 0x06; // accept k bytes
}

/// The expression needs too long a program (4,096 instructions) or too much memory (16 words).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the filter is too large: the kernel takes 4,096 instructions and 16 words of memory")]
pub struct TooLarge;

/// Words of scratch memory (`BPF_MEMWORDS`).
const WORDS: u32 = 16;
/// Most instructions (`BPF_MAXINSNS`).
const MOST: usize = 4096;
/// IPv6 extension header: fragment.
const FRAGMENT: u32 = 44;

/// Makes the program: it returns `snaplen` for a packet the expression holds for, else 0.
pub fn program(expr: &Expr, snaplen: u32) -> Result<Vec<Insn>, TooLarge> {
    let mut code = Code::default();
    let (yes, no) = (code.label(), code.label());
    code.expr(expr, yes, no)?;
    code.bind(yes);
    code.push(op::RET, snaplen);
    code.bind(no);
    code.push(op::RET, 0);
    code.finish()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Label(usize);

#[derive(Debug, Clone, Copy)]
enum Item {
    Plain(Insn),
    /// Goes to the label when the condition has this value, else on.
    If(u16, u32, bool, Label),
    Always(Label),
}

#[derive(Default)]
struct Code {
    items: Vec<Item>,
    labels: Vec<usize>,
}

impl Code {
    fn label(&mut self) -> Label {
        self.labels.push(usize::MAX);
        Label(self.labels.len() - 1)
    }

    fn bind(&mut self, label: Label) {
        let here = self.items.len();
        if let Some(place) = self.labels.get_mut(label.0) {
            *place = here;
        }
    }

    fn push(&mut self, code: u16, k: u32) {
        self.items.push(Item::Plain(Insn { code, jt: 0, jf: 0, k }));
    }

    fn when(&mut self, code: u16, k: u32, label: Label) {
        self.items.push(Item::If(code, k, true, label));
    }

    fn unless(&mut self, code: u16, k: u32, label: Label) {
        self.items.push(Item::If(code, k, false, label));
    }

    fn jump(&mut self, label: Label) {
        self.items.push(Item::Always(label));
    }

    /// Goes on to `yes` or `no`; whoever calls places one of them next.
    fn expr(&mut self, expr: &Expr, yes: Label, no: Label) -> Result<(), TooLarge> {
        if self.items.len() > MOST {
            return Err(TooLarge);
        }
        match expr {
            Expr::All => self.jump(yes),
            Expr::Not(inner) => self.expr(inner, no, yes)?,
            Expr::And(a, b) => {
                let next = self.label();
                self.expr(a, next, no)?;
                self.bind(next);
                self.expr(b, yes, no)?;
            }
            Expr::Or(a, b) => {
                let next = self.label();
                self.expr(a, yes, next)?;
                self.bind(next);
                self.expr(b, yes, no)?;
            }
            Expr::Test(test) => self.test(test, yes, no)?,
        }
        Ok(())
    }

    fn test(&mut self, test: &Test, yes: Label, no: Label) -> Result<(), TooLarge> {
        match test {
            Test::Net(net) => {
                self.is_net(*net, no);
                self.jump(yes);
            }
            Test::Proto(net, number) => self.versions(*net, no, |code, v6, next| {
                code.is_proto(v6, u32::from(*number), next);
                code.jump(yes);
            }),
            Test::Host(net, dir, address) => {
                let bits = if address.is_ipv4() { 32 } else { 128 };
                self.prefix(*net, *dir, *address, bits, yes, no);
            }
            Test::Prefix(net, dir, address, bits) => self.prefix(*net, *dir, *address, *bits, yes, no),
            Test::Mask(net, dir, address, mask) => self.v4(*net, *dir, *address, *mask, yes, no),
            Test::Ports(net, proto, dir, low, high) => self.versions(*net, no, |code, v6, next| {
                code.ports(v6, *proto, *dir, (u32::from(*low), u32::from(*high)), yes, next);
            }),
            Test::Compare(a, relation, b) => {
                self.headers(a, no);
                self.headers(b, no);
                self.arith(b, 0)?;
                self.push(op::ST, 0);
                self.arith(a, 1)?;
                self.push(op::LDX_MEM, 0);
                let (code, when) = match relation {
                    Relation::Eq => (op::JEQ, true),
                    Relation::Ne => (op::JEQ, false),
                    Relation::Gt => (op::JGT, true),
                    Relation::Le => (op::JGT, false),
                    Relation::Ge => (op::JGE, true),
                    Relation::Lt => (op::JGE, false),
                };
                self.items.push(Item::If(code | op::X_SRC, 0, when, yes));
                self.jump(no);
            }
        }
        Ok(())
    }

    fn is_net(&mut self, net: Net, no: Label) {
        self.push(op::LD_W, AD_PROTOCOL);
        let ethertype = match net {
            Net::Ip => 0x0800,
            Net::Ip6 => 0x86dd,
            Net::Arp => 0x0806,
            Net::Rarp => 0x8035,
        };
        self.unless(op::JEQ, ethertype, no);
    }

    /// The versions of IP a test is for, one after the other. IPv6 first, as tcpdump does.
    fn versions(&mut self, net: Option<Net>, no: Label, mut each: impl FnMut(&mut Self, bool, Label)) {
        for (version, v6) in [(Net::Ip6, true), (Net::Ip, false)] {
            if net.is_none_or(|net| net == version) {
                let next = self.label();
                self.is_net(version, next);
                each(self, v6, next);
                self.bind(next);
            }
        }
        self.jump(no);
    }

    fn is_proto(&mut self, v6: bool, number: u32, no: Label) {
        if !v6 {
            self.push(op::LD_B, NET + 9);
            return self.unless(op::JEQ, number, no);
        }
        let found = self.label();
        self.push(op::LD_B, NET + 6);
        self.when(op::JEQ, number, found);
        self.unless(op::JEQ, FRAGMENT, no);
        self.push(op::LD_B, NET + 40);
        self.unless(op::JEQ, number, no);
        self.bind(found);
    }

    fn prefix(&mut self, net: Option<Net>, dir: Dir, address: IpAddr, bits: u8, yes: Label, no: Label) {
        match address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(bits.min(32))).unwrap_or(0);
                self.v4(net, dir, u32::from(address), mask, yes, no);
            }
            IpAddr::V6(address) => {
                self.is_net(Net::Ip6, no);
                let mask = u128::MAX.checked_shl(128 - u32::from(bits.min(128))).unwrap_or(0);
                let (words, masks) = (u128::from(address), mask);
                self.ends(dir, yes, no, |code, src, miss| {
                    let at = NET + if src { 8 } else { 24 };
                    for (i, shift) in [96, 64, 32, 0].into_iter().enumerate() {
                        let mask = (masks >> shift) as u32;
                        if mask == 0 {
                            continue;
                        }
                        code.push(op::LD_W, at + 4 * i as u32);
                        if mask != u32::MAX {
                            code.push(op::AND, mask);
                        }
                        code.unless(op::JEQ, (words >> shift) as u32 & mask, miss);
                    }
                });
            }
        }
    }

    /// An address of IPv4, also in ARP and RARP when nothing else is said.
    fn v4(&mut self, net: Option<Net>, dir: Dir, address: u32, mask: u32, yes: Label, no: Label) {
        for (kind, src, dst) in [(Net::Ip, 12, 16), (Net::Arp, 14, 24), (Net::Rarp, 14, 24)] {
            if net.is_some_and(|net| net != kind) {
                continue;
            }
            let next = self.label();
            self.is_net(kind, next);
            self.ends(dir, yes, next, |code, source, miss| {
                code.push(op::LD_W, NET + if source { src } else { dst });
                if mask != u32::MAX {
                    code.push(op::AND, mask);
                }
                code.unless(op::JEQ, address & mask, miss);
            });
            self.bind(next);
        }
        self.jump(no);
    }

    /// One end, the other, either or both; `one` goes to its label when its end does not fit.
    fn ends(&mut self, dir: Dir, yes: Label, no: Label, mut one: impl FnMut(&mut Self, bool, Label)) {
        match dir {
            Dir::Src | Dir::Dst => one(self, dir == Dir::Src, no),
            Dir::Both => {
                one(self, true, no);
                one(self, false, no);
            }
            Dir::Either => {
                let other = self.label();
                one(self, true, other);
                self.jump(yes);
                self.bind(other);
                one(self, false, no);
            }
        }
        self.jump(yes);
    }

    fn ports(
        &mut self,
        v6: bool,
        proto: Option<u8>,
        dir: Dir,
        (low, high): (u32, u32),
        yes: Label,
        no: Label,
    ) {
        let known = self.label();
        self.push(op::LD_B, NET + if v6 { 6 } else { 9 });
        match proto {
            Some(proto) => self.unless(op::JEQ, proto.into(), no),
            None => {
                self.when(op::JEQ, 132, known);
                self.when(op::JEQ, 6, known);
                self.unless(op::JEQ, 17, no);
            }
        }
        self.bind(known);
        if !v6 {
            // A later fragment has no ports.
            self.push(op::LD_H, NET + 6);
            self.when(op::JSET, 0x1fff, no);
            self.push(op::LDX_MSH, NET);
        }
        self.ends(dir, yes, no, |code, src, miss| {
            let at = if src { 0 } else { 2 };
            if v6 {
                code.push(op::LD_H, NET + 40 + at);
            } else {
                code.push(op::LD_H_X, NET + at);
            }
            if low == high {
                code.unless(op::JEQ, low, miss);
            } else {
                code.unless(op::JGE, low, miss);
                code.when(op::JGT, high, miss);
            }
        });
    }

    /// The tests that the headers arithmetic looks into are there.
    fn headers(&mut self, of: &Arith, no: Label) {
        match of {
            Arith::Number(_) | Arith::Len => {}
            Arith::Binary(_, a, b) => {
                self.headers(a, no);
                self.headers(b, no);
            }
            Arith::Bytes(header, offset, _) => {
                self.headers(offset, no);
                match header {
                    Header::Net(net) => self.is_net(*net, no),
                    Header::Above(proto) => {
                        self.is_net(Net::Ip, no);
                        self.is_proto(false, u32::from(*proto), no);
                        self.push(op::LD_H, NET + 6);
                        self.when(op::JSET, 0x1fff, no);
                    }
                    Header::Icmp6 => {
                        self.is_net(Net::Ip6, no);
                        self.push(op::LD_B, NET + 6);
                        self.unless(op::JEQ, 58, no);
                    }
                }
            }
        }
    }

    /// `A = value`; words of memory from `free` on may be used.
    fn arith(&mut self, of: &Arith, free: u32) -> Result<(), TooLarge> {
        if free >= WORDS || self.items.len() > MOST {
            return Err(TooLarge);
        }
        match of {
            Arith::Number(n) => self.push(op::LD_IMM, *n),
            Arith::Len => self.push(op::LD_LEN, 0),
            Arith::Binary(operator, a, b) => {
                let code = match operator {
                    Op::Add => 0x00,
                    Op::Sub => 0x10,
                    Op::Mul => 0x20,
                    Op::Div => 0x30,
                    Op::Or => 0x40,
                    Op::And => 0x50,
                    Op::Shl => 0x60,
                    Op::Shr => 0x70,
                    Op::Mod => 0x90,
                    Op::Xor => 0xa0,
                } | op::ALU;
                match (operator, &**b) {
                    // The kernel refuses to shift a 32-bit word by 32 or more: nothing is left of it.
                    (Op::Shl | Op::Shr, Arith::Number(32..)) => self.push(op::LD_IMM, 0),
                    (_, Arith::Number(n)) => {
                        self.arith(a, free)?;
                        self.push(code, *n);
                    }
                    _ => {
                        self.arith(b, free)?;
                        self.push(op::ST, free);
                        self.arith(a, free + 1)?;
                        self.push(op::LDX_MEM, free);
                        self.push(code | op::X_SRC, 0);
                    }
                }
            }
            Arith::Bytes(header, offset, size) => {
                let index = match size {
                    1 => op::LD_B_X,
                    2 => op::LD_H_X,
                    _ => op::LD_W_X,
                };
                let direct = index - 0x20;
                let (base, above) = match header {
                    Header::Net(_) => (NET, false),
                    Header::Icmp6 => (NET + 40, false),
                    Header::Above(_) => (NET, true),
                };
                match (&**offset, above) {
                    (Arith::Number(n), false) => self.push(direct, far(base, *n)),
                    (Arith::Number(n), true) => {
                        self.push(op::LDX_MSH, NET);
                        self.push(index, far(base, *n));
                    }
                    (offset, above) => {
                        self.arith(offset, free)?;
                        if above {
                            self.push(op::LDX_MSH, NET);
                            self.push(op::ADD_X, 0);
                        }
                        self.push(op::TAX, 0);
                        self.push(index, base);
                    }
                }
            }
        }
        Ok(())
    }

    /// Resolves jumps; one that a byte cannot hold goes through an unconditional one.
    fn finish(self) -> Result<Vec<Insn>, TooLarge> {
        let mut long = vec![false; self.items.len()];
        loop {
            let mut places = Vec::with_capacity(self.items.len() + 1);
            let mut at = 0;
            for long in &long {
                places.push(at);
                at += if *long { 2 } else { 1 };
            }
            places.push(at);
            if at > MOST {
                return Err(TooLarge);
            }
            let target = |label: Label| {
                let item = self.labels.get(label.0).copied().unwrap_or(usize::MAX);
                places.get(item).copied().ok_or(TooLarge)
            };
            let mut out = Vec::with_capacity(at);
            let mut grown = false;
            for (i, item) in self.items.iter().enumerate() {
                let here = places.get(i).copied().unwrap_or(0);
                match *item {
                    Item::Plain(insn) => out.push(insn),
                    Item::Always(label) => {
                        let k = target(label)?.saturating_sub(here + 1) as u32;
                        out.push(Insn { code: op::JA, jt: 0, jf: 0, k });
                    }
                    Item::If(code, k, when, label) => {
                        let is_long = long.get(i).copied().unwrap_or(false);
                        let distance = target(label)?.saturating_sub(here + 1 + usize::from(is_long));
                        match (u8::try_from(distance), is_long) {
                            (Ok(short), false) => {
                                let (jt, jf) = if when { (short, 0) } else { (0, short) };
                                out.push(Insn { code, jt, jf, k });
                            }
                            (_, true) => {
                                let (jt, jf) = if when { (0, 1) } else { (1, 0) };
                                out.push(Insn { code, jt, jf, k });
                                out.push(Insn { code: op::JA, jt: 0, jf: 0, k: distance as u32 });
                            }
                            (Err(_), false) => {
                                if let Some(slot) = long.get_mut(i) {
                                    *slot = true;
                                }
                                grown = true;
                                out.push(Insn { code, jt: 0, jf: 0, k });
                            }
                        }
                    }
                }
            }
            if !grown {
                return Ok(out);
            }
        }
    }
}

/// An offset so large that it would leave the packet's address space reads nothing.
fn far(base: u32, offset: u32) -> u32 {
    base + offset.min(0xf_0000)
}
