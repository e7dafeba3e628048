//! `flow()`: addresses, ports, protocol and namespace of a packet or socket, zero where they cannot be read.
//!
//! The record is laid out as `calls::flow_type` says: source at 0, destination at 24, ports at 48 and 56, protocol
//! at 64, inode of the network namespace at 72.

use super::{Gen, Mem};
use crate::asm::{Src, Width, alu, cond};
use crate::ast::Expr;
use crate::diag::{Diagnostic, Result};
use crate::helpers;
use crate::passes::calls::{FlowKind, flow_kind};
use crate::passes::ty::{C, StructRef, Ty};
use crate::types::{Tag, TypeId};

const SOURCE: u32 = 0;
const DESTINATION: u32 = 24;
const SPORT: u32 = 48;
const DPORT: u32 = 56;
const PROTO: u32 = 64;
const NETNS: u32 = 72;
const SIZE: u32 = 80;

impl Gen<'_, '_> {
    pub(super) fn flow(&mut self, e: &Expr, mem: Mem) -> Result<()> {
        let kind = match self.raw_ty(e) {
            Ty::Ptr(c, _) => match self.s.world.look(&c) {
                C::Struct(StructRef::Kernel(id)) => flow_kind(&self.s.world, id),
                _ => None,
            },
            _ => None,
        };
        self.scalar(e)?;
        let base = self.temp_stack(8);
        self.a.store(Width::D, 10, base, 0);
        self.zero(mem, SIZE);
        match kind {
            Some(FlowKind::Sock) => self.flow_of_sock(base, mem, e),
            Some(FlowKind::Skb) => self.flow_of_skb(base, mem, e),
            None => Err(Diagnostic::error(e.span, "`flow()` takes a sk_buff, a sock or a sock_common")),
        }
    }

    fn structure(&self, name: &str, e: &Expr) -> Result<TypeId> {
        let found = self.s.world.types.find(Tag::Struct, name);
        found.ok_or_else(|| Diagnostic::error(e.span, format!("`flow()` needs BTF of struct {name}")))
    }

    /// Byte offset of a member reached through embedded structures.
    fn offset_of(&self, of: TypeId, path: &[&str], e: &Expr) -> Result<u32> {
        let mut s = StructRef::Kernel(of);
        let mut bits = 0u32;
        for (i, name) in path.iter().enumerate() {
            let missing =
                || Diagnostic::error(e.span, format!("`flow()` finds no field `{name}` on this kernel"));
            let found = self.s.world.field(s, name).ok_or_else(missing)?;
            bits = bits.saturating_add(found.bit_offset);
            if i + 1 < path.len() {
                let C::Struct(next) = self.s.world.look(&found.c) else { return Err(missing()) };
                s = next;
            }
        }
        Ok(bits / 8)
    }

    /// `r0 =` so many bytes at `*base + off`.
    fn peek(&mut self, base: i32, off: u32, width: Width, bytes: i64) {
        let mark = self.mark();
        let to = self.temp_stack(8);
        self.a.load(Width::D, 3, 10, base);
        self.a.alu(alu::ADD, 3, Src::Imm(off as i32));
        self.a.mov(1, 10);
        self.a.alu(alu::ADD, 1, Src::Imm(to));
        self.a.imm(2, bytes);
        self.a.call(helpers::READ_KERNEL);
        self.a.load(width, 0, 10, to);
        self.release(mark);
    }

    /// An address of this family at `*base + off`, written to the record.
    fn peek_address(&mut self, base: i32, off: u32, bytes: u32, to: Mem) {
        let (reg, at) = self.base(to, 1);
        self.a.store_imm(Width::W, reg, at, if bytes == 4 { 2 } else { 10 });
        self.address(to.plus(4), 1);
        self.a.imm(2, i64::from(bytes));
        self.a.load(Width::D, 3, 10, base);
        self.a.alu(alu::ADD, 3, Src::Imm(off as i32));
        self.a.call(helpers::READ_KERNEL);
    }

    /// The namespace's inode, from the pointer to `struct net` at `*base + off`.
    fn peek_netns(&mut self, base: i32, off: u32, mem: Mem, e: &Expr) -> Result<()> {
        let net = self.structure("net", e)?;
        let inum = self.offset_of(net, &["ns", "inum"], e)?;
        let mark = self.mark();
        self.peek(base, off, Width::D, 8);
        let pointer = self.temp_stack(8);
        self.a.store(Width::D, 10, pointer, 0);
        self.peek(pointer, inum, Width::W, 4);
        self.put(mem.plus(NETNS));
        self.release(mark);
        Ok(())
    }

    fn flow_of_sock(&mut self, base: i32, mem: Mem, e: &Expr) -> Result<()> {
        let common = self.structure("sock_common", e)?;
        let sock = self.structure("sock", e)?;
        let at = |g: &Self, name: &str| g.offset_of(common, &[name], e);
        let (family, num, dport) = (at(self, "skc_family")?, at(self, "skc_num")?, at(self, "skc_dport")?);
        let (saddr, daddr) = (at(self, "skc_rcv_saddr")?, at(self, "skc_daddr")?);
        let six = (at(self, "skc_v6_rcv_saddr"), at(self, "skc_v6_daddr"));
        let net = self.offset_of(common, &["skc_net", "net"], e)?;
        self.peek(base, num, Width::H, 2);
        self.put(mem.plus(SPORT));
        self.peek(base, dport, Width::H, 2);
        self.a.swap(0, 16);
        self.put(mem.plus(DPORT));
        // A field of 16 bits since 5.6, a bit-field before.
        if let Some(found) = self.s.world.field(StructRef::Kernel(sock), "sk_protocol")
            && found.bit_size == 0
        {
            self.peek(base, found.bit_offset / 8, Width::H, 2);
            self.put(mem.plus(PROTO));
        }
        self.peek_netns(base, net, mem, e)?;
        self.peek(base, family, Width::H, 2);
        let (v6, end) = (self.a.label(), self.a.label());
        self.a.branch(cond::EQ, 0, Src::Imm(10), v6);
        self.a.branch(cond::NE, 0, Src::Imm(2), end);
        self.peek_address(base, saddr, 4, mem.plus(SOURCE));
        self.peek_address(base, daddr, 4, mem.plus(DESTINATION));
        self.a.jump(end);
        self.a.bind(v6);
        // Kernels without IPv6 have no such fields.
        if let (Ok(saddr), Ok(daddr)) = six {
            self.peek_address(base, saddr, 16, mem.plus(SOURCE));
            self.peek_address(base, daddr, 16, mem.plus(DESTINATION));
        }
        self.a.bind(end);
        Ok(())
    }

    fn flow_of_skb(&mut self, base: i32, mem: Mem, e: &Expr) -> Result<()> {
        let skb = self.structure("sk_buff", e)?;
        let device = self.structure("net_device", e)?;
        let at = |g: &Self, name: &str| g.offset_of(skb, &[name], e);
        let (head, network, dev) = (at(self, "head")?, at(self, "network_header")?, at(self, "dev")?);
        let nd_net = self.offset_of(device, &["nd_net", "net"], e)?;
        let (device, header, transport) = (self.temp_stack(8), self.temp_stack(8), self.temp_stack(8));
        self.peek(base, dev, Width::D, 8);
        self.a.store(Width::D, 10, device, 0);
        self.peek_netns(device, nd_net, mem, e)?;
        self.peek(base, head, Width::D, 8);
        self.a.store(Width::D, 10, header, 0);
        self.peek(base, network, Width::H, 2);
        // A packet that has just come from its device has no network header yet: it is where the data begins.
        let (known, found) = (self.a.label(), self.a.label());
        self.a.branch(cond::NE, 0, Src::Imm(0), known);
        self.peek(base, at(self, "data")?, Width::D, 8);
        self.a.store(Width::D, 10, header, 0);
        self.a.jump(found);
        self.a.bind(known);
        self.a.load(Width::D, 1, 10, header);
        self.a.alu(alu::ADD, 1, Src::Reg(0));
        self.a.store(Width::D, 10, header, 1);
        self.a.bind(found);
        self.peek(header, 0, Width::B, 1);
        let (v6, ports, end) = (self.a.label(), self.a.label(), self.a.label());
        self.a.mov(1, 0);
        self.a.alu(alu::RSH, 1, Src::Imm(4));
        self.a.branch(cond::EQ, 1, Src::Imm(6), v6);
        self.a.branch(cond::NE, 1, Src::Imm(4), end);
        self.a.alu(alu::AND, 0, Src::Imm(15));
        self.a.alu(alu::LSH, 0, Src::Imm(2));
        self.a.load(Width::D, 1, 10, header);
        self.a.alu(alu::ADD, 0, Src::Reg(1));
        self.a.store(Width::D, 10, transport, 0);
        self.peek_address(header, 12, 4, mem.plus(SOURCE));
        self.peek_address(header, 16, 4, mem.plus(DESTINATION));
        // A later fragment has no ports.
        self.peek(header, 6, Width::H, 2);
        self.a.swap(0, 16);
        self.a.alu(alu::AND, 0, Src::Imm(0x1fff));
        let fragment = self.temp_stack(8);
        self.a.store(Width::D, 10, fragment, 0);
        self.peek(header, 9, Width::B, 1);
        self.put(mem.plus(PROTO));
        self.a.load(Width::D, 1, 10, fragment);
        self.a.branch(cond::NE, 1, Src::Imm(0), end);
        self.a.jump(ports);
        self.a.bind(v6);
        self.a.load(Width::D, 0, 10, header);
        self.a.alu(alu::ADD, 0, Src::Imm(40));
        self.a.store(Width::D, 10, transport, 0);
        self.peek_address(header, 8, 16, mem.plus(SOURCE));
        self.peek_address(header, 24, 16, mem.plus(DESTINATION));
        self.peek(header, 6, Width::B, 1);
        self.put(mem.plus(PROTO));
        self.a.bind(ports);
        // `r0` is the protocol here; TCP, UDP, DCCP, SCTP and UDP-Lite begin with the ports.
        let known = self.a.label();
        for protocol in [6, 17, 33, 132, 136] {
            self.a.branch(cond::EQ, 0, Src::Imm(protocol), known);
        }
        self.a.jump(end);
        self.a.bind(known);
        for (off, to) in [(0, SPORT), (2, DPORT)] {
            self.peek(transport, off, Width::H, 2);
            self.a.swap(0, 16);
            self.put(mem.plus(to));
        }
        self.a.bind(end);
        Ok(())
    }
}
