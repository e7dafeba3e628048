//! Records for user space: reserved in the ring, filled in place, submitted.

use super::Gen;
use super::mem::{Base, Mem};
use crate::asm::{Src, Width, cond};
use crate::ast::{Expr, ExprKind};
use crate::diag::{Diagnostic, Result};
use crate::helpers;
use crate::passes::ty::{Agg, Space, Ty};
use crate::program::{Action, Part, RECORD_HEADER, Stream};

impl Gen<'_, '_> {
    /// Sends a record with these values after its header.
    pub(super) fn action(&mut self, action: Action, args: &[(&Expr, Ty)]) -> Result<()> {
        let size: u32 = args.iter().map(|(_, t)| self.size(t)).sum();
        self.record(action, size, |g, mem| {
            let mut at = 0;
            for (e, ty) in args {
                g.loose = matches!((&e.kind, ty), (ExprKind::Call(..), Ty::Str(_))).then(|| mem.plus(at));
                g.store(e, mem.plus(at), ty)?;
                g.loose = None;
                at += g.size(ty);
            }
            Ok(())
        })
    }

    fn record(
        &mut self,
        action: Action,
        size: u32,
        fill: impl FnOnce(&mut Self, Mem) -> Result<()>,
    ) -> Result<()> {
        if size > 1 << 16 {
            return Err(Diagnostic::error(self.span, "this record is larger than 64 KiB"));
        }
        let index = self.s.actions.len();
        self.s.actions.push(action);
        let mark = self.mark();
        let slot = self.temp_stack(8);
        let ring = self.s.maps.ring();
        self.a.map(1, ring);
        self.a.imm(2, i64::from(RECORD_HEADER + size));
        self.a.imm(3, 0);
        self.a.call(helpers::RING_RESERVE);
        let (lost, end) = (self.a.label(), self.a.label());
        self.a.branch(cond::EQ, 0, Src::Imm(0), lost);
        self.a.store(Width::D, 10, slot, 0);
        self.a.store_imm(Width::W, 0, 0, index as i32);
        self.a.store_imm(Width::W, 0, 4, self.index as i32);
        fill(self, Mem { base: Base::Through(10, slot), off: RECORD_HEADER as i32 })?;
        self.a.load(Width::D, 1, 10, slot);
        self.a.imm(2, 0);
        self.a.call(helpers::RING_SUBMIT);
        self.a.jump(end);
        self.a.bind(lost);
        self.count_lost();
        self.a.bind(end);
        self.release(mark);
        Ok(())
    }

    fn parts(&self, list: &[(&Expr, Ty)]) -> Vec<Part> {
        let mut offset = 0;
        list.iter()
            .map(|(_, ty)| {
                let shape = self.s.shape(ty);
                let size = shape.size();
                let part = Part { name: String::new(), offset, shape };
                offset += size;
                part
            })
            .collect()
    }

    fn typed<'e>(&self, args: &'e [Expr]) -> Vec<(&'e Expr, Ty)> {
        args.iter().map(|e| (e, self.ty(e))).collect()
    }

    /// Functions that have no value.
    pub(super) fn command(&mut self, name: &str, args: &[Expr], e: &Expr) -> Result<()> {
        let text = |e: Option<&Expr>| match e.map(|e| &e.kind) {
            Some(ExprKind::Str(s)) => s.clone(),
            _ => String::new(),
        };
        match name {
            "printf" | "errorf" | "warnf" | "cat" | "system" => {
                let format = text(args.first());
                let list = self.typed(args.get(1..).unwrap_or(&[]));
                let parts = self.parts(&list);
                let action = match name {
                    "errorf" | "warnf" => {
                        let level = if name == "errorf" { "ERROR" } else { "WARNING" };
                        let place = (self.s.place)(e.span).replace('%', "%%");
                        let format = format!("{place}: {level}: {format}\n");
                        let to = if name == "errorf" { Stream::Error } else { Stream::Warn };
                        Action::Printf { format, args: parts, to }
                    }
                    "printf" => Action::Printf { format, args: parts, to: Stream::Out },
                    "cat" => Action::Cat { format, args: parts },
                    _ => Action::System { format, args: parts },
                };
                self.action(action, &list)
            }
            "print" => self.print(args, e),
            "clear" | "zero" => {
                let Some(ExprKind::Map { name: map, .. }) = args.first().map(|a| &a.kind) else {
                    return Err(Diagnostic::error(e.span, format!("`{name}()` takes a map")));
                };
                let map = self.map_info(map, e)?.index;
                self.action(if name == "clear" { Action::Clear { map } } else { Action::Zero { map } }, &[])
            }
            "exit" => {
                if let Some(format) = args.get(1..).filter(|rest| !rest.is_empty()) {
                    let list = self.typed(format.get(1..).unwrap_or(&[]));
                    let parts = self.parts(&list);
                    let format = format!("{}\n", text(format.first()));
                    self.action(Action::Printf { format, args: parts, to: Stream::Out }, &list)?;
                }
                match args.first() {
                    Some(code) => self.action(Action::Exit, &[(code, Ty::I64)])?,
                    None => self.record(Action::Exit, 8, |g, mem| {
                        g.zero(mem, 8);
                        Ok(())
                    })?,
                }
                self.leave();
                Ok(())
            }
            "time" => {
                let format = if args.is_empty() { "%H:%M:%S\n".to_string() } else { text(args.first()) };
                self.action(Action::Time { format }, &[])
            }
            "emit" => {
                let (Some(ExprKind::Ident(name) | ExprKind::Str(name)), Some(ExprKind::Record(fields))) =
                    (args.first().map(|a| &a.kind), args.get(1).map(|a| &a.kind))
                else {
                    return Err(Diagnostic::error(e.span, "`emit()` takes a name and a record"));
                };
                let list: Vec<(&Expr, Ty)> = fields.iter().map(|(_, e)| (e, self.ty(e))).collect();
                let mut parts = self.parts(&list);
                for (part, (name, _)) in parts.iter_mut().zip(fields) {
                    part.name.clone_from(name);
                }
                self.action(Action::Emit { name: name.clone(), fields: parts }, &list)
            }
            "join" => self.join(args, &text(args.get(1)), e),
            "signal" | "signal_thread" => {
                let Some(arg) = args.first() else { return Ok(()) };
                match &arg.kind {
                    ExprKind::Str(text) => match crate::signals::number(text) {
                        Some(n) => self.a.imm(0, n),
                        None => return Err(Diagnostic::error(arg.span, format!("unknown signal `{text}`"))),
                    },
                    _ => self.scalar(arg)?,
                }
                self.a.mov(1, 0);
                let thread = name == "signal_thread";
                self.a.call(if thread { helpers::SEND_SIGNAL_THREAD } else { helpers::SEND_SIGNAL });
                Ok(())
            }
            other => Err(Diagnostic::error(e.span, format!("`{other}()` cannot be used as a statement"))),
        }
    }

    fn print(&mut self, args: &[Expr], e: &Expr) -> Result<()> {
        let Some(first) = args.first() else { return Ok(()) };
        if let ExprKind::Map { name, key } = &first.kind {
            let info = self.map_info(name, first)?;
            match key {
                None => {
                    return self.record(Action::PrintMap { map: info.index }, 16, |g, mem| {
                        for (i, at) in [(1, 0), (2, 8)] {
                            match args.get(i) {
                                Some(e) => g.scalar(e)?,
                                None => g.a.imm(0, 0),
                            }
                            g.put(mem.plus(at));
                        }
                        Ok(())
                    });
                }
                Some(key) => {
                    let Some(key_ty) = info.key.clone() else {
                        return Err(Diagnostic::error(e.span, "this map has no keys"));
                    };
                    let key_size = self.size(&key_ty);
                    let part = Part { name: String::new(), offset: 0, shape: self.s.shape(&key_ty) };
                    if matches!(info.value, Ty::Agg(agg) if agg.bucketed() || matches!(agg, Agg::Stats { .. }))
                    {
                        let action =
                            Action::PrintValue { map: Some(info.index), key: Some(part), value: None };
                        return self.action(action, &[(key, key_ty)]);
                    }
                    let ty = info.value.decayed();
                    let value = Part { name: String::new(), offset: key_size, shape: self.s.shape(&ty) };
                    let action =
                        Action::PrintValue { map: Some(info.index), key: Some(part), value: Some(value) };
                    return self.action(action, &[(key, key_ty), (first, ty)]);
                }
            }
        }
        let ty = self.ty(first);
        let value = Part { name: String::new(), offset: 0, shape: self.s.shape(&ty) };
        self.action(Action::PrintValue { map: None, key: None, value: Some(value) }, &[(first, ty)])
    }

    /// `join(argv)`: up to 16 strings behind an array of pointers.
    fn join(&mut self, args: &[Expr], delimiter: &str, e: &Expr) -> Result<()> {
        const SLOTS: u32 = 16;
        let Some(first) = args.first() else { return Ok(()) };
        let slot_size = self.s.world.strlen.next_multiple_of(8);
        let delimiter = if args.len() > 1 { delimiter.to_string() } else { " ".to_string() };
        let space = match self.ty(first) {
            Ty::Ptr(_, Space::User) => Space::User,
            _ => Space::Kernel,
        };
        let _ = e;
        // The array is evaluated before the record is reserved: it may need the stack.
        self.scalar(first)?;
        let array = self.temp_stack(8);
        self.a.store(Width::D, 10, array, 0);
        let action = Action::Join { delimiter, slots: SLOTS, slot_size };
        self.record(action, 8 + SLOTS * slot_size, |g, mem| {
            let count = g.temp_stack(8);
            let pointer = g.temp_stack(8);
            let end = g.a.label();
            g.a.store_imm(Width::D, 10, count, 0);
            for i in 0..SLOTS {
                g.a.mov(1, 10);
                g.a.alu(crate::asm::alu::ADD, 1, Src::Imm(pointer));
                g.a.imm(2, 8);
                g.a.load(Width::D, 3, 10, array);
                g.a.alu(crate::asm::alu::ADD, 3, Src::Imm(i as i32 * 8));
                g.a.call(if space == Space::User { helpers::READ_USER } else { helpers::READ_KERNEL });
                g.a.load(Width::D, 0, 10, pointer);
                g.a.branch(cond::EQ, 0, Src::Imm(0), end);
                g.read_str(mem.plus(8 + i * slot_size), slot_size, None, space);
                g.a.store_imm(Width::D, 10, count, i as i32 + 1);
            }
            g.a.bind(end);
            g.a.load(Width::D, 0, 10, count);
            g.put(mem);
            Ok(())
        })
    }
}
