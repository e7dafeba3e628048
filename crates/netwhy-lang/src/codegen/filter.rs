//! `filter(skb, "expression")`: an expression of pcap-filter(7) on a packet of the kernel.
//!
//! The expression becomes classic BPF (netwhy-wire), and that is translated instruction by instruction. Bytes are
//! counted from the network header; the first [`AHEAD`] of them are read at once, what lies further one by one. As
//! in a packet socket, reading beyond the packet (here: beyond its linear part) makes the whole expression false.

use netwhy_wire::pcap::code::{self, AD_PROTOCOL, Insn, NET, op};

use super::Gen;
use crate::asm::{Label, Src, Width, alu, cond};
use crate::ast::{Expr, ExprKind};
use crate::diag::{Diagnostic, Result};
use crate::helpers;
use crate::passes::infer::Context;
use crate::passes::ty::{Space, StructRef, Ty};
use crate::types::Tag;

/// Bytes of the network header and what follows that are read ahead.
const AHEAD: u32 = 64;

/// Slots of this function's stack.
struct Slots {
    /// The accumulator, 32 bits of it used.
    a: i32,
    /// The index register.
    x: i32,
    /// Scratch memory, one after the other downwards.
    m: i32,
    /// Address of the network header.
    base: i32,
    /// Bytes there are from it on.
    avail: i32,
    /// EtherType in host order.
    protocol: i32,
    /// Length of the packet.
    len: i32,
    /// The bytes read ahead.
    ahead: i32,
}

impl Gen<'_, '_> {
    /// `r0 = 1` when the expression holds for the packet, else 0.
    pub(super) fn pcap_filter(&mut self, args: &[Expr], e: &Expr) -> Result<()> {
        let Some(ExprKind::Str(text)) = args.last().map(|a| &a.kind) else {
            return Err(Diagnostic::error(e.span, "the expression of `filter()` is a string in quotes"));
        };
        let program = program(text, args.last().unwrap_or(e))?;
        let (no, end) = (self.a.label(), self.a.label());
        let mark = self.mark();
        let space = match args {
            [skb, _] => {
                self.scalar(skb)?;
                match self.raw_ty(skb) {
                    Ty::Ptr(_, Space::Btf) => Space::Btf,
                    _ => Space::Kernel,
                }
            }
            _ => self.probes_packet(e)?,
        };
        self.a.branch(cond::EQ, 0, Src::Imm(0), no);
        let skb = self.temp_stack(8);
        self.a.store(Width::D, 10, skb, 0);
        let words = program.iter().filter(|i| matches!(i.code, op::ST | op::LDX_MEM | op::LD_MEM));
        let words = words.map(|i| i.k + 1).max().unwrap_or(0);
        let slots = Slots {
            ahead: self.temp_stack(AHEAD),
            base: self.temp_stack(8),
            avail: self.temp_stack(8),
            protocol: self.temp_stack(8),
            len: self.temp_stack(8),
            a: self.temp_stack(8),
            x: self.temp_stack(8),
            m: self.temp_stack(words * 8),
        };
        for slot in [slots.a, slots.x] {
            self.a.store_imm(Width::D, 10, slot, 0);
        }
        self.headers(skb, space, &slots, no, e)?;
        self.translate(&program, &slots, no, end);
        self.a.bind(no);
        self.a.imm(0, 0);
        self.a.bind(end);
        self.release(mark);
        Ok(())
    }

    /// `r0 = the packet this probe is about`
    fn probes_packet(&mut self, e: &Expr) -> Result<Space> {
        let none = || {
            Diagnostic::error(e.span, "this probe has no packet of its own")
                .hint("name it, as in `filter((struct sk_buff *)arg0, \"tcp port 80\")`")
        };
        match &self.t.context {
            Context::Params(signature) => {
                let packet = |p: &&crate::types::Param| self.s.world.is_pointer_to(p.ty, "sk_buff");
                let Some(name) = signature.params.iter().find(packet).map(|p| p.name.clone()) else {
                    return Err(none());
                };
                let at = signature.params.iter().position(|p| p.name == name).unwrap_or(0);
                self.a.load(Width::D, 0, self.frame, super::CTX);
                self.a.load(Width::D, 0, 0, at as i32 * 8);
                let raw = self.t.unit.kind == crate::program::Kind::RawTracepoint;
                Ok(if raw { Space::Kernel } else { Space::Btf })
            }
            Context::Record(fields, _) => {
                let packet = fields.iter().find(|f| f.name == "skbaddr" || f.c_type.contains("sk_buff"));
                let Some(offset) = packet.map(|f| f.offset) else { return Err(none()) };
                self.a.load(Width::D, 0, self.frame, super::CTX);
                self.a.load(Width::D, 0, 0, offset as i32);
                Ok(Space::Kernel)
            }
            Context::None => Err(none()),
        }
    }

    /// `r0 =` a field of the packet.
    fn packet_field(&mut self, skb: i32, space: Space, name: &str, e: &Expr) -> Result<()> {
        let missing =
            || Diagnostic::error(e.span, format!("`filter()` finds no sk_buff.{name} on this kernel"));
        let id = self.s.world.types.find(Tag::Struct, "sk_buff").ok_or_else(missing)?;
        let found = self.s.world.field(StructRef::Kernel(id), name).ok_or_else(missing)?;
        let bytes = self.s.world.size(&found.c);
        let width = Width::of(bytes).filter(|_| found.bit_size == 0).ok_or_else(missing)?;
        let off = (found.bit_offset / 8) as i32;
        if space == Space::Btf && found.direct {
            self.a.load(Width::D, 1, 10, skb);
            self.a.load(width, 0, 1, off);
            return Ok(());
        }
        let mark = self.mark();
        let to = self.temp_stack(8);
        self.a.load(Width::D, 3, 10, skb);
        self.a.alu(alu::ADD, 3, Src::Imm(off));
        self.read_to(to, bytes);
        self.a.load(width, 0, 10, to);
        self.release(mark);
        Ok(())
    }

    /// Reads from kernel address `r3` to a slot.
    fn read_to(&mut self, slot: i32, bytes: u32) {
        self.a.mov(1, 10);
        self.a.alu(alu::ADD, 1, Src::Imm(slot));
        self.a.imm(2, i64::from(bytes));
        self.a.call(helpers::READ_KERNEL);
    }

    fn headers(&mut self, skb: i32, space: Space, s: &Slots, no: Label, e: &Expr) -> Result<()> {
        let set = self.a.label();
        self.packet_field(skb, space, "len", e)?;
        self.a.store(Width::D, 10, s.len, 0);
        self.packet_field(skb, space, "protocol", e)?;
        self.a.swap(0, 16);
        self.a.store(Width::D, 10, s.protocol, 0);
        self.packet_field(skb, space, "tail", e)?;
        self.a.store(Width::D, 10, s.avail, 0);
        self.packet_field(skb, space, "head", e)?;
        self.a.store(Width::D, 10, s.base, 0);
        self.packet_field(skb, space, "network_header", e)?;
        // Before anybody looked for the header, it is where the data begins.
        self.a.branch(cond::NE, 0, Src::Imm(0), set);
        self.packet_field(skb, space, "data", e)?;
        self.a.load(Width::D, 1, 10, s.base);
        self.a.alu(alu::SUB, 0, Src::Reg(1));
        self.a.bind(set);
        // Both count from the head.
        self.a.load(Width::D, 1, 10, s.avail);
        self.a.alu(alu::SUB, 1, Src::Reg(0));
        self.a.branch(cond::SLE, 1, Src::Imm(0), no);
        self.a.store(Width::D, 10, s.avail, 1);
        self.a.load(Width::D, 3, 10, s.base);
        self.a.alu(alu::ADD, 3, Src::Reg(0));
        self.a.store(Width::D, 10, s.base, 3);
        for at in (0..AHEAD as i32).step_by(8) {
            self.a.store_imm(Width::D, 10, s.ahead + at, 0);
        }
        self.read_to(s.ahead, AHEAD);
        // The version says what it is, unless the protocol says ARP: not every place has set that yet.
        let done = self.a.label();
        self.a.load(Width::D, 0, 10, s.protocol);
        for protocol in [0x0806, 0x8035] {
            self.a.branch(cond::EQ, 0, Src::Imm(protocol), done);
        }
        self.a.load(Width::B, 0, 10, s.ahead);
        self.a.alu(alu::RSH, 0, Src::Imm(4));
        for (version, protocol) in [(4, 0x0800), (6, 0x86dd)] {
            let other = self.a.label();
            self.a.branch(cond::NE, 0, Src::Imm(version), other);
            self.a.store_imm(Width::D, 10, s.protocol, protocol);
            self.a.jump(done);
            self.a.bind(other);
        }
        self.a.bind(done);
        Ok(())
    }

    fn translate(&mut self, program: &[Insn], s: &Slots, no: Label, end: Label) {
        let labels: Vec<Label> = program.iter().map(|_| self.a.label()).collect();
        let target = |at: usize, skip: u32| labels.get(at + 1 + skip as usize).copied().unwrap_or(no);
        for (at, (insn, label)) in program.iter().zip(&labels).enumerate() {
            self.a.bind(*label);
            let Insn { code, jt, jf, k } = *insn;
            match code {
                op::LD_W if k == AD_PROTOCOL => {
                    self.a.load(Width::D, 0, 10, s.protocol);
                    self.a.store(Width::D, 10, s.a, 0);
                }
                op::LD_W | op::LD_H | op::LD_B => {
                    self.absolute(s, k.wrapping_sub(NET), size_of(code), no);
                    self.a.store(Width::D, 10, s.a, 0);
                }
                op::LD_W_X | op::LD_H_X | op::LD_B_X => {
                    self.a.load(Width::D, 3, 10, s.x);
                    self.a.alu(alu::ADD, 3, Src::Imm(k.wrapping_sub(NET) as i32));
                    self.distant(s, size_of(code), no);
                    self.a.store(Width::D, 10, s.a, 0);
                }
                op::LDX_MSH => {
                    self.absolute(s, k.wrapping_sub(NET), 1, no);
                    self.a.alu(alu::AND, 0, Src::Imm(15));
                    self.a.alu(alu::LSH, 0, Src::Imm(2));
                    self.a.store(Width::D, 10, s.x, 0);
                }
                op::LD_LEN => self.moved(s.len, s.a),
                op::LD_IMM => {
                    self.a.imm(0, i64::from(k));
                    self.a.store(Width::D, 10, s.a, 0);
                }
                op::LD_MEM => self.moved(s.m + 8 * k as i32, s.a),
                op::LDX_MEM => self.moved(s.m + 8 * k as i32, s.x),
                op::ST => self.moved(s.a, s.m + 8 * k as i32),
                op::TAX => self.moved(s.a, s.x),
                op::JA => {
                    let to = target(at, k);
                    self.a.jump(to);
                }
                op::RET if k == 0 => self.a.jump(no),
                op::RET => {
                    self.a.imm(0, 1);
                    self.a.jump(end);
                }
                _ => {
                    self.a.load(Width::D, 0, 10, s.a);
                    if code & op::X_SRC != 0 {
                        self.a.load(Width::D, 1, 10, s.x);
                    } else {
                        self.a.imm(1, i64::from(k));
                    }
                    if code & 7 == 5 {
                        let condition = match code & 0xf0 {
                            0x10 => cond::EQ,
                            0x20 => cond::GT,
                            0x30 => cond::GE,
                            _ => cond::SET,
                        };
                        self.a.branch(condition, 0, Src::Reg(1), target(at, jt.into()));
                        self.a.jump(target(at, jf.into()));
                    } else {
                        self.arithmetic(code, s, no);
                    }
                }
            }
        }
    }

    /// `r0 op= r1` in 32 bits, to the accumulator.
    fn arithmetic(&mut self, code: u16, s: &Slots, no: Label) {
        let done = self.a.label();
        match code & 0xf0 {
            0x30 | 0x90 => self.a.branch(cond::EQ, 1, Src::Imm(0), no),
            0x60 | 0x70 => {
                let short = self.a.label();
                self.a.branch(cond::LT, 1, Src::Imm(32), short);
                self.a.store_imm(Width::D, 10, s.a, 0);
                self.a.jump(done);
                self.a.bind(short);
            }
            _ => {}
        }
        self.a.alu((code & 0xf0) as u8, 0, Src::Reg(1));
        self.a.zext32(0);
        self.a.store(Width::D, 10, s.a, 0);
        self.a.bind(done);
    }

    fn moved(&mut self, from: i32, to: i32) {
        self.a.load(Width::D, 0, 10, from);
        self.a.store(Width::D, 10, to, 0);
    }

    /// `r0 =` bytes at a constant offset.
    fn absolute(&mut self, s: &Slots, at: u32, bytes: u32, no: Label) {
        if at + bytes <= AHEAD && at.is_multiple_of(bytes) {
            self.a.load(Width::D, 1, 10, s.avail);
            self.a.branch(cond::LT, 1, Src::Imm((at + bytes) as i32), no);
            let Some(width) = Width::of(bytes) else { return };
            self.a.load(width, 0, 10, s.ahead + at as i32);
            self.swapped(bytes);
            return;
        }
        self.a.imm(3, i64::from(at));
        self.distant(s, bytes, no);
    }

    /// `r0 =` bytes at the offset in `r3`.
    fn distant(&mut self, s: &Slots, bytes: u32, no: Label) {
        self.a.mov(0, 3);
        self.a.alu(alu::ADD, 0, Src::Imm(bytes as i32));
        self.a.load(Width::D, 1, 10, s.avail);
        self.a.branch(cond::GT, 0, Src::Reg(1), no);
        let mark = self.mark();
        let to = self.temp_stack(8);
        self.a.load(Width::D, 1, 10, s.base);
        self.a.alu(alu::ADD, 3, Src::Reg(1));
        self.read_to(to, bytes);
        self.a.branch(cond::NE, 0, Src::Imm(0), no);
        if let Some(width) = Width::of(bytes) {
            self.a.load(width, 0, 10, to);
        }
        self.swapped(bytes);
        self.release(mark);
    }

    fn swapped(&mut self, bytes: u32) {
        if bytes > 1 {
            self.a.swap(0, bytes as i32 * 8);
        }
    }
}

fn size_of(code: u16) -> u32 {
    match code & 0x18 {
        0x00 => 4,
        0x08 => 2,
        _ => 1,
    }
}

/// The classic program of an expression, mistakes placed in the script.
pub(crate) fn program(text: &str, at: &Expr) -> Result<Vec<Insn>> {
    let expr = netwhy_wire::pcap::parse(text).map_err(|wrong| {
        // Where the literal has no escapes and comes from the script itself, its bytes follow the quote.
        let mut span = at.span;
        if span.end.saturating_sub(span.start) as usize == text.len() + 2 {
            span.start += 1 + wrong.start as u32;
            span.end = span.start + (wrong.end.max(wrong.start + 1) - wrong.start) as u32;
        }
        Diagnostic::error(span, format!("in the filter `{text}`: {wrong}"))
    })?;
    code::program(&expr, code::ACCEPT).map_err(|large| Diagnostic::error(at.span, large.to_string()))
}
