//! Code: one program per unit.
//!
//! Registers: values are computed in `r0`, second operands in `r1`; `r6` to `r8` keep values across calls; `r9` is
//! the frame of the main function inside callbacks. The main frame begins with fixed slots (context, scratch,
//! returned), then variables, then temporaries. Anything larger than [`STACK_TEMP`] lives in the scratch map.

mod action;
mod agg;
mod call;
mod expr;
mod field;
pub(crate) mod filter;
mod flow;
mod maps;
mod mem;
pub(crate) mod regs;
mod stmt;
mod text;
pub(crate) mod usdt;

use std::collections::BTreeMap;

use crate::asm::{Asm, Label, Src, Width, alu, cond};
use crate::ast::{Block, Expr, StmtKind};
use crate::diag::{Diagnostic, Result, Span};
use crate::features::Features;
use crate::helpers;
use crate::passes::fields::World;
use crate::passes::infer::Typed;
use crate::passes::points;
use crate::passes::ty::{Agg, C, Ty};
use crate::program::{Action, Program, Raw, RawMember, RelocTarget, Shape, Subprogram};
use crate::types::TypeId;

pub(crate) use maps::{Maps, layout};
pub(crate) use mem::Mem;

/// Largest temporary kept on the stack.
const STACK_TEMP: u32 = 64;
/// The kernel's limit.
const STACK: i32 = 512;
const CTX: i32 = -8;
const SCRATCH: i32 = -16;
const RETURNED: i32 = -24;

/// What all programs of a script share while code is made.
pub(crate) struct Shared<'a> {
    pub(crate) world: World<'a>,
    pub(crate) features: &'a Features,
    /// The process a run was told to start.
    pub(crate) child: Option<u32>,
    /// How messages name a place of the script.
    pub(crate) place: &'a dyn Fn(Span) -> String,
    pub(crate) maps: Maps,
    pub(crate) actions: Vec<Action>,
}

impl Shared<'_> {
    pub(crate) fn shape(&self, ty: &Ty) -> Shape {
        ty.shape(&|id: TypeId| self.world.enum_values(id), &|c: &C| self.raw(c))
    }

    fn raw(&self, c: &C) -> (u32, Raw) {
        (self.world.size(c), self.raw_at(c, 0))
    }

    fn raw_at(&self, c: &C, depth: u32) -> Raw {
        let seen = self.world.look(c);
        match &seen {
            C::Int { size, signed, .. } => Raw::Int { size: u32::from(*size), signed: *signed },
            C::Bool => Raw::Bool,
            C::Ptr(_) => Raw::Ptr,
            C::Enum(id, size, _) => Raw::Enum { size: u32::from(*size), values: self.world.enum_values(*id) },
            C::Array(elem, len) => match self.world.look(elem) {
                C::Int { char_like: true, .. } => Raw::Chars { size: *len },
                _ => Raw::Array {
                    step: self.world.size(elem),
                    elem: Box::new(self.raw_at(elem, depth + 1)),
                    len: (*len).min(4096),
                },
            },
            C::Struct(s) if depth < 8 => {
                let all = self.world.members(*s);
                let members = all.into_iter().map(|m| RawMember {
                    offset: m.bit_offset / 8,
                    bits: (m.bit_size > 0).then_some((m.bit_offset % 8, m.bit_size)),
                    of: self.raw_at(&m.c, depth + 1),
                    name: m.name,
                });
                Raw::Struct { members: members.collect() }
            }
            _ => Raw::None,
        }
    }
}

/// Where a variable is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Eight bytes of the main frame.
    Slot(i32),
    /// Offset in the scratch value.
    Scratch(u32),
    /// Pointers to key and value of an entry, in slots of the main frame.
    Pair(i32, i32),
}

#[derive(Clone, Copy)]
enum Loop {
    Inline {
        next: Label,
        end: Label,
    },
    /// In a callback; a slot of the main frame says that a `while` loop is over: the verifier goes on calling.
    Callback(Option<i32>),
}

/// A callback still to be written.
struct Pending<'a> {
    label: Label,
    index: u32,
    kind: PendingKind<'a>,
    body: &'a Block,
    depth: i32,
}

/// A search for a text: offsets in the scratch memory, and sizes.
struct Search {
    state: i32,
    hay: i32,
    hay_size: u32,
    needle: i32,
    needle_size: u32,
}

enum PendingKind<'a> {
    Range {
        slot: i32,
        start: i32,
    },
    While {
        cond: &'a Expr,
        over: i32,
    },
    /// With the map, the aggregation and where its number goes, when the values are such.
    Each {
        key: i32,
        value: i32,
        agg: Option<(u32, Agg, u32)>,
    },
    Count,
    Search(Search),
}

pub(crate) struct Gen<'a, 's> {
    s: &'s mut Shared<'a>,
    t: &'a Typed,
    a: Asm,
    index: u32,
    frame: u8,
    places: BTreeMap<String, Place>,
    /// Where the number that an aggregation is made into lives, by loop variable: in the scratch memory.
    numbers: BTreeMap<String, u32>,
    /// Slots of the main frame for `while` loops not met yet.
    whiles: Vec<i32>,
    fixed: i32,
    scratch_fixed: u32,
    scratch_now: u32,
    scratch_max: u32,
    scratch_used: bool,
    tmp: i32,
    tmp_max: i32,
    /// Stack of the frames around the current function.
    outer: i32,
    saved: [bool; 3],
    loops: Vec<Loop>,
    leave: Label,
    pending: Vec<Pending<'a>>,
    subprograms: Vec<(Label, Subprogram)>,
    span: Span,
    /// A string that only user space will look at, up to its end: what follows need not be cleared.
    loose: Option<Mem>,
}

/// Makes the program of a unit; also says how much scratch it needs.
pub(crate) fn program<'a>(s: &mut Shared<'a>, t: &'a Typed, index: u32) -> Result<(Program, u32)> {
    let actions = s.actions.len();
    let first = generate(s, t, index, false)?;
    let (scratch, made) = if first.1 > 0 {
        s.actions.truncate(actions);
        let second = generate(s, t, index, true)?;
        (second.1, second.0)
    } else {
        (0, first.0)
    };
    Ok((made, scratch))
}

fn generate<'a>(s: &mut Shared<'a>, t: &'a Typed, index: u32, scratch: bool) -> Result<(Program, u32)> {
    let mut a = Asm::default();
    let leave = a.label();
    let mut g = Gen {
        s,
        t,
        a,
        index,
        frame: 10,
        places: BTreeMap::new(),
        numbers: BTreeMap::new(),
        whiles: Vec::new(),
        fixed: -RETURNED,
        scratch_fixed: 0,
        scratch_now: 0,
        scratch_max: 0,
        scratch_used: false,
        tmp: 0,
        tmp_max: 0,
        outer: 0,
        saved: [false; 3],
        loops: Vec::new(),
        leave,
        pending: Vec::new(),
        subprograms: Vec::new(),
        span: Span::default(),
        loose: None,
    };
    g.assign_places();
    g.tmp = g.fixed;
    g.tmp_max = g.fixed;
    g.a.store(Width::D, 10, CTX, 1);
    if t.unit.kind == crate::program::Kind::Iter {
        // The last call comes without an object, behind the words about the iteration.
        g.a.load(Width::D, 0, 1, 8);
        let leave = g.leave;
        g.a.branch(cond::EQ, 0, Src::Imm(0), leave);
    }
    if scratch {
        g.prologue();
    }
    if has_loops(&t.unit.body) {
        g.a.store_imm(Width::D, 10, RETURNED, 0);
    }
    if let Some(predicate) = &t.unit.predicate {
        g.line(predicate.span);
        let leave = g.leave;
        g.branch(predicate, leave, false)?;
    }
    g.block(&t.unit.body)?;
    let leave = g.leave;
    g.a.bind(leave);
    g.a.imm(0, 0);
    g.a.exit();
    // In the order they were met: the kernel wants functions ascending.
    while !g.pending.is_empty() {
        let next = g.pending.remove(0);
        g.callback(next)?;
    }
    if g.tmp_max > STACK {
        return Err(Diagnostic::error(g.span, "this probe needs more than 512 bytes of stack")
            .hint("split it, or use fewer variables"));
    }
    let scratch_size = if g.scratch_used { g.scratch_max.max(8) } else { 0 };
    let mut subprograms = Vec::new();
    g.subprograms.sort_by_key(|(_, s)| s.name.clone());
    let span = g.span;
    let mut assembled = std::mem::take(&mut g.a)
        .finish()
        .ok_or_else(|| Diagnostic::error(span, "this probe makes too long a program"))?;
    for (label, mut sub) in std::mem::take(&mut g.subprograms) {
        sub.insn = assembled.place(label).unwrap_or(0);
        subprograms.push(sub);
    }
    // A callback nobody can reach any more is gone; the others keep their order.
    let used = |n: u32| assembled.relocs.iter().any(|r| r.target == RelocTarget::Subprogram(n));
    let kept: Vec<u32> = (0..subprograms.len() as u32).filter(|n| used(*n)).collect();
    let subprograms: Vec<Subprogram> =
        kept.iter().filter_map(|n| subprograms.get(*n as usize).cloned()).collect();
    for reloc in &mut assembled.relocs {
        if let RelocTarget::Subprogram(n) = &mut reloc.target {
            *n = kept.iter().position(|k| k == n).unwrap_or(0) as u32;
        }
    }
    let name: String = t
        .unit
        .attach
        .first()
        .map_or_else(|| "probe".to_string(), points::name)
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    let name = name.get(name.len().saturating_sub(15)..).unwrap_or("probe").to_string();
    Ok((
        Program {
            index,
            name,
            kind: t.unit.kind,
            attach: t.unit.attach.clone(),
            reads_context: t.unit.reads_context,
            wants_cookie: false,
            insns: assembled.insns,
            relocs: assembled.relocs,
            subprograms,
            lines: assembled.lines,
        },
        scratch_size,
    ))
}

/// Whether a block has loops that may become callbacks.
fn has_loops(block: &Block) -> bool {
    block.stmts.iter().any(|s| match &s.kind {
        StmtKind::While { .. } | StmtKind::Range { .. } | StmtKind::Each { .. } => true,
        StmtKind::If { then, other, .. } => has_loops(then) || has_loops(other),
        StmtKind::Unroll { body, .. } | StmtKind::Block(body) => has_loops(body),
        StmtKind::Expr(e) | StmtKind::Assign { value: e, .. } | StmtKind::Let { value: Some(e), .. } => {
            matches!(&e.kind, crate::ast::ExprKind::Block(b, _) if has_loops(b))
        }
        _ => false,
    })
}

fn count_whiles(block: &Block) -> usize {
    let of = |s: &crate::ast::Stmt| match &s.kind {
        StmtKind::While { body, .. } => 1 + count_whiles(body),
        StmtKind::Range { body, .. } | StmtKind::Each { body, .. } | StmtKind::Block(body) => {
            count_whiles(body)
        }
        // Each copy of an unrolled loop has loops of its own.
        StmtKind::Unroll { count, body } => {
            let copies = crate::passes::infer::folded(count).unwrap_or(1).clamp(1, 100) as usize;
            copies * count_whiles(body)
        }
        StmtKind::If { then, other, .. } => count_whiles(then) + count_whiles(other),
        _ => 0,
    };
    block.stmts.iter().map(of).sum()
}

impl<'a> Gen<'a, '_> {
    fn assign_places(&mut self) {
        let mut pairs = Vec::new();
        collect_pairs(&self.t.unit.body, &mut pairs);
        for (name, ty) in &self.t.vars {
            let place = if pairs.contains(name) {
                self.numbers.insert(name.clone(), self.scratch_fixed);
                self.scratch_fixed = self.scratch_fixed.saturating_add(8);
                self.fixed += 16;
                Place::Pair(-self.fixed, -self.fixed + 8)
            } else if ty.scalar() || *ty == Ty::Unknown {
                self.fixed += 8;
                Place::Slot(-self.fixed)
            } else {
                let size = self.size(ty);
                let at = self.scratch_fixed;
                self.scratch_fixed = self.scratch_fixed.saturating_add(size);
                Place::Scratch(at)
            };
            self.places.insert(name.clone(), place);
        }
        for _ in 0..count_whiles(&self.t.unit.body) {
            self.fixed += 8;
            self.whiles.push(-self.fixed);
        }
        self.scratch_now = self.scratch_fixed;
        self.scratch_max = self.scratch_fixed;
    }

    fn prologue(&mut self) {
        let Some(map) = self.s.maps.scratch else { return };
        let mem = self.temp_stack(8);
        self.a.store_imm(Width::W, 10, mem, self.index as i32);
        self.a.map(1, map);
        self.a.mov(2, 10);
        self.a.alu(alu::ADD, 2, Src::Imm(mem));
        self.a.call(helpers::MAP_LOOKUP);
        let leave = self.leave;
        self.a.branch(cond::EQ, 0, Src::Imm(0), leave);
        self.a.store(Width::D, 10, SCRATCH, 0);
        self.tmp = self.fixed;
    }

    pub(crate) fn size(&self, ty: &Ty) -> u32 {
        self.s.shape(ty).size()
    }

    /// The type of an expression, arrays of characters as strings.
    pub(crate) fn ty(&self, e: &Expr) -> Ty {
        let ty = self.t.ty.get(e.id as usize).cloned().unwrap_or(Ty::Unknown);
        match &ty {
            Ty::Place(C::Array(elem, len), _) => match self.s.world.look(elem) {
                C::Int { char_like: true, .. } => Ty::chars(*len),
                _ => ty,
            },
            _ => ty.decayed(),
        }
    }

    /// How the condition of a `comptime` choice was decided.
    pub(crate) fn decided(&self, cond: &Expr) -> Option<bool> {
        matches!(cond.kind, crate::ast::ExprKind::Comptime(_))
            .then(|| self.t.decided.get(&cond.id).copied().unwrap_or(false))
    }

    /// The type of an expression as inferred.
    pub(crate) fn raw_ty(&self, e: &Expr) -> Ty {
        self.t.ty.get(e.id as usize).cloned().unwrap_or(Ty::Unknown)
    }

    pub(crate) fn line(&mut self, span: Span) {
        self.span = span;
        self.a.line(span.start, span.end);
    }

    /// Room on this function's stack until [`Gen::release`].
    fn temp_stack(&mut self, bytes: u32) -> i32 {
        self.tmp += bytes.next_multiple_of(8) as i32;
        self.tmp_max = self.tmp_max.max(self.tmp + self.outer);
        -self.tmp
    }

    /// Room for a value of any size until [`Gen::release`].
    pub(crate) fn temp(&mut self, bytes: u32) -> Mem {
        if bytes <= STACK_TEMP && self.tmp + self.outer + (bytes as i32) < STACK - 64 {
            return Mem::stack(self.temp_stack(bytes));
        }
        self.scratch_temp(bytes)
    }

    pub(crate) fn scratch_temp(&mut self, bytes: u32) -> Mem {
        let at = self.scratch_now;
        self.scratch_now = self.scratch_now.saturating_add(bytes.next_multiple_of(8));
        self.scratch_max = self.scratch_max.max(self.scratch_now);
        self.scratch_used = true;
        Mem { base: mem::Base::Through(self.frame, SCRATCH), off: at as i32 }
    }

    /// What to give to [`Gen::release`] when temporaries taken from now on are no longer needed.
    pub(crate) fn mark(&self) -> (i32, u32, [bool; 3]) {
        (self.tmp, self.scratch_now, self.saved)
    }

    pub(crate) fn release(&mut self, mark: (i32, u32, [bool; 3])) {
        (self.tmp, self.scratch_now, self.saved) = mark;
    }

    /// Keeps `r0` across whatever comes.
    pub(crate) fn keep(&mut self) -> Kept {
        for (i, used) in self.saved.iter_mut().enumerate() {
            if !*used {
                *used = true;
                let reg = 6 + i as u8;
                self.a.mov(reg, 0);
                return Kept::Reg(reg);
            }
        }
        let off = self.temp_stack(8);
        self.a.store(Width::D, 10, off, 0);
        Kept::Stack(off)
    }

    pub(crate) fn kept(&mut self, kept: Kept, dst: u8) {
        match kept {
            Kept::Reg(reg) => self.a.mov(dst, reg),
            Kept::Stack(off) => self.a.load(Width::D, dst, 10, off),
        }
    }
}

/// A value kept across calls.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kept {
    Reg(u8),
    Stack(i32),
}

fn collect_pairs(block: &Block, out: &mut Vec<String>) {
    for stmt in &block.stmts {
        match &stmt.kind {
            StmtKind::Each { name, body, .. } => {
                out.push(name.clone());
                collect_pairs(body, out);
            }
            StmtKind::If { then, other, .. } => {
                collect_pairs(then, out);
                collect_pairs(other, out);
            }
            StmtKind::While { body, .. }
            | StmtKind::Range { body, .. }
            | StmtKind::Unroll { body, .. }
            | StmtKind::Block(body) => collect_pairs(body, out),
            _ => {}
        }
    }
}
