//! Builtins and functions with a value.

use super::{CTX, Gen, Mem};
use crate::asm::{Src, Width, alu, cond};
use crate::ast::{Expr, ExprKind};
use crate::diag::{Diagnostic, Result};
use crate::helpers;
use crate::passes::comptime::{TESTS, type_test};
use crate::passes::infer::folded;
use crate::passes::points;
use crate::passes::ty::{C, Space, Ty};
use crate::program::Attach;
use crate::types::{Tag, TypeDesc};

const AF_INET: i32 = 2;
const AF_INET6: i32 = 10;

impl Gen<'_, '_> {
    /// Builtins that fit a register.
    pub(super) fn builtin(&mut self, name: &str, e: &Expr) -> Result<()> {
        match name {
            "pid" => {
                self.a.call(helpers::PID_TGID);
                self.a.alu(alu::RSH, 0, Src::Imm(32));
            }
            "tid" => {
                self.a.call(helpers::PID_TGID);
                self.a.zext32(0);
            }
            "uid" => {
                self.a.call(helpers::UID_GID);
                self.a.zext32(0);
            }
            "gid" => {
                self.a.call(helpers::UID_GID);
                self.a.alu(alu::RSH, 0, Src::Imm(32));
            }
            "cpu" => self.a.call(helpers::CPU),
            "numaid" => self.a.call(helpers::NUMA),
            "rand" => {
                self.a.call(helpers::PRANDOM);
                self.a.zext32(0);
            }
            "jiffies" => self.a.call(helpers::JIFFIES),
            "cgroup" => self.a.call(helpers::CGROUP_ID),
            "nsecs" => self.a.call(helpers::KTIME_BOOT),
            "elapsed" => {
                self.a.call(helpers::KTIME_BOOT);
                let start = self.s.maps.start();
                self.a.map_value(1, start, 0);
                self.a.load(Width::D, 1, 1, 0);
                self.a.alu(alu::SUB, 0, Src::Reg(1));
            }
            "ncpus" => self.a.imm(0, i64::from(self.s.features.cpus)),
            "cpid" => self.a.imm(0, self.s.child.map_or(0, i64::from)),
            "has_cpid" => self.a.imm(0, i64::from(self.s.child.is_some())),
            "usermode" => self.usermode(),
            "true" => self.a.imm(0, 1),
            "false" => self.a.imm(0, 0),
            "ctx" => self.a.load(Width::D, 0, self.frame, CTX),
            "curtask" => {
                self.a.call(if self.s.features.current_task_btf { helpers::TASK_BTF } else { helpers::TASK });
            }
            "ppid" => {
                self.task_field(&["real_parent", "tgid"], 4, e)?;
            }
            "retval" => return self.argument(None, e),
            _ => {
                if let Some(n) = name.strip_prefix("arg").and_then(|n| n.parse().ok()) {
                    return self.argument(Some(n), e);
                }
                match self.s.world.enumerator(name) {
                    Some((value, _)) => self.a.imm(0, value),
                    None => return Err(Diagnostic::error(e.span, format!("`{name}` is not a number"))),
                }
            }
        }
        Ok(())
    }

    /// `r0 =` a field reached from the current task through pointers.
    fn task_field(&mut self, path: &[&str], bytes: u32, e: &Expr) -> Result<()> {
        self.a.call(helpers::TASK);
        let missing =
            |what: &str| Diagnostic::error(e.span, format!("this needs BTF of the kernel ({what})"));
        let mut id =
            self.s.world.types.find(Tag::Struct, "task_struct").ok_or_else(|| missing("task_struct"))?;
        let mem = self.temp_stack(8);
        for (i, name) in path.iter().enumerate() {
            let found = self
                .s
                .world
                .field(crate::passes::ty::StructRef::Kernel(id), name)
                .ok_or_else(|| missing(name))?;
            let last = i + 1 == path.len();
            self.a.mov(3, 0);
            self.a.alu(alu::ADD, 3, Src::Imm((found.bit_offset / 8) as i32));
            self.a.store_imm(Width::D, 10, mem, 0);
            self.a.mov(1, 10);
            self.a.alu(alu::ADD, 1, Src::Imm(mem));
            self.a.imm(2, if last { i64::from(bytes) } else { 8 });
            self.a.call(helpers::READ_KERNEL);
            self.a.load(Width::D, 0, 10, mem);
            if let (false, C::Ptr(to)) = (last, self.s.world.look(&found.c))
                && let C::Struct(crate::passes::ty::StructRef::Kernel(next)) = self.s.world.look(&to)
            {
                id = next;
            }
        }
        Ok(())
    }

    /// Builtins that live in memory.
    pub(super) fn store_builtin(&mut self, name: &str, mem: Mem, ty: &Ty, e: &Expr) -> Result<()> {
        let size = self.size(ty);
        match name {
            "comm" => {
                if size > 16 {
                    self.zero(mem, size);
                }
                self.address(mem, 1);
                self.a.imm(2, i64::from(size.min(16)));
                self.a.call(helpers::COMM);
            }
            "username" => {
                self.a.call(helpers::UID_GID);
                self.a.zext32(0);
                self.put(mem);
            }
            "probetype" => {
                let text = self.t.unit.attach.first().map_or("special", points::kind_name);
                self.literal(text, mem, size);
            }
            "probe" | "func" => {
                let text = match (name, self.t.unit.attach.first()) {
                    ("probe", Some(attach)) => points::name(attach),
                    (_, Some(Attach::Kprobe { function, .. } | Attach::Kretprobe { function })) => {
                        function.clone()
                    }
                    (_, Some(Attach::Fentry { function, .. } | Attach::Fexit { function, .. })) => {
                        function.clone()
                    }
                    (_, Some(Attach::Uprobe { symbol, .. } | Attach::Uretprobe { symbol, .. })) => {
                        symbol.clone()
                    }
                    _ => String::new(),
                };
                self.literal(&text, mem, size);
            }
            "kstack" | "stack" | "ustack" => self.stack_id(mem, name == "ustack"),
            "pcomm" => {
                self.task_field(&["real_parent"], 8, e)?;
                let found = self
                    .s
                    .world
                    .types
                    .find(Tag::Struct, "task_struct")
                    .and_then(|id| self.s.world.field(crate::passes::ty::StructRef::Kernel(id), "comm"))
                    .ok_or_else(|| Diagnostic::error(e.span, "this needs BTF of the kernel"))?;
                self.a.alu(alu::ADD, 0, Src::Imm((found.bit_offset / 8) as i32));
                self.read_str(mem, size, None, Space::Kernel);
            }
            _ => return Err(Diagnostic::error(e.span, format!("`{name}` cannot be stored"))),
        }
        Ok(())
    }

    /// `r0 = 1` when the event interrupted user code.
    fn usermode(&mut self) {
        let registers = match self.t.unit.attach.first() {
            Some(Attach::Begin | Attach::End | Attach::SelfSignal(_))
            | Some(Attach::Uprobe { .. } | Attach::Uretprobe { .. } | Attach::Usdt { .. }) => {
                self.a.imm(0, 1);
                return;
            }
            Some(Attach::Interval { .. } | Attach::Profile { .. })
            | Some(Attach::Software { .. } | Attach::Hardware { .. }) => {
                super::regs::offset(self.s.features.arch, "cs")
            }
            _ => None,
        };
        let Some(cs) = registers else {
            self.a.imm(0, 0);
            return;
        };
        let end = self.a.label();
        self.a.load(Width::D, 1, self.frame, CTX);
        self.a.load(Width::D, 1, 1, cs as i32);
        self.a.alu(alu::AND, 1, Src::Imm(3));
        self.a.imm(0, 0);
        self.a.branch(cond::NE, 1, Src::Imm(3), end);
        self.a.imm(0, 1);
        self.a.bind(end);
    }

    /// `r0 = how many frames the stack has`
    fn stack_depth(&mut self, user: bool, most: u32) {
        let bytes = most.min(127) * 8;
        let mark = self.mark();
        let mem = self.scratch_temp(bytes);
        self.address(mem, 2);
        self.a.load(Width::D, 1, self.frame, CTX);
        self.a.imm(3, i64::from(bytes));
        self.a.imm(4, if user { 1 << 8 } else { 0 });
        self.a.call(helpers::GET_STACK);
        let some = self.a.label();
        self.a.branch(cond::SGE, 0, Src::Imm(0), some);
        self.a.imm(0, 0);
        self.a.bind(some);
        self.a.alu(alu::RSH, 0, Src::Imm(3));
        self.release(mark);
    }

    /// Bytes of a type as `sizeof` counts them: as C would lay it out.
    pub(super) fn c_size(&self, ty: &Ty) -> (u32, u32) {
        match ty {
            Ty::Int { size, .. } => (u32::from(*size), u32::from(*size)),
            Ty::Bool => (1, 1),
            Ty::Enum(id) => {
                let size = self.s.world.size(&C::Lazy(*id));
                (size, size)
            }
            Ty::Str(n) if *n == self.s.world.strlen + 1 => (self.s.world.strlen, 1),
            Ty::Str(n) | Ty::Buf(n) => (*n, 1),
            Ty::Mac => (6, 1),
            Ty::Place(c, _) => (self.s.world.size(c), 1),
            Ty::Tuple(parts) => {
                let (mut at, mut widest) = (0u32, 1);
                for (_, part) in parts {
                    let (size, align) = self.c_size(part);
                    at = at.next_multiple_of(align.max(1)) + size;
                    widest = widest.max(align);
                }
                (at.next_multiple_of(widest), widest)
            }
            other => (self.size(other), 8),
        }
    }

    fn stack_id(&mut self, mem: Mem, user: bool) {
        let map = self.s.maps.stacks();
        self.a.load(Width::D, 1, self.frame, CTX);
        self.a.map(2, map);
        self.a.imm(3, if user { 1 << 8 } else { 0 });
        self.a.call(helpers::STACKID);
        self.put(mem);
        if user {
            self.a.call(helpers::PID_TGID);
            self.a.alu(alu::RSH, 0, Src::Imm(32));
            self.put(mem.plus(8));
        }
    }

    /// Functions whose value fits a register.
    pub(super) fn scalar_call(&mut self, name: &str, args: &[Expr], e: &Expr) -> Result<()> {
        let first = args.first();
        let need = |i: usize| {
            args.get(i).ok_or_else(|| Diagnostic::error(e.span, format!("`{name}()` needs more arguments")))
        };
        match name {
            "delete" => match (&need(0)?.kind, args.get(1)) {
                (ExprKind::Map { name, .. }, Some(key)) => self.map_delete(name, Some(key), e),
                (ExprKind::Map { name, key }, None) => self.map_delete(name, key.as_deref(), e),
                _ => Err(Diagnostic::error(e.span, "`delete()` takes a map and a key")),
            },
            "has_key" => match (&need(0)?.kind, need(1)?) {
                (ExprKind::Map { name, .. }, key) => self.map_has(name, key),
                _ => Err(Diagnostic::error(e.span, "`has_key()` takes a map and a key")),
            },
            "strncmp" => {
                let n = folded(need(2)?).unwrap_or(0).clamp(0, 1 << 14) as u32;
                self.strncmp(need(0)?, need(1)?, n)
            }
            "strcontains" => match &need(1)?.kind {
                ExprKind::Str(_) => self.contains(need(0)?, need(1)?),
                _ => {
                    self.strstr(need(0)?, need(1)?)?;
                    let end = self.a.label();
                    self.a.mov(1, 0);
                    self.a.imm(0, 0);
                    self.a.branch(cond::SLT, 1, Src::Imm(0), end);
                    self.a.imm(0, 1);
                    self.a.bind(end);
                    Ok(())
                }
            },
            "strstr" => self.strstr(need(0)?, need(1)?),
            "strcap" => match self.ty(need(0)?) {
                Ty::Str(n) => {
                    self.a.imm(0, i64::from(n));
                    Ok(())
                }
                _ => self.strlen(need(0)?),
            },
            "memcmp" => {
                let n = folded(need(2)?).unwrap_or(0).clamp(0, 4096) as u32;
                self.memcmp(need(0)?, need(1)?, n)
            }
            "len" => {
                let arg = need(0)?;
                match (&arg.kind, self.raw_ty(arg)) {
                    (ExprKind::Map { name, key: None }, _) => {
                        let map = self.map_info(name, e)?.index;
                        self.count_entries(map);
                    }
                    (_, Ty::Ustack(depth, _)) => self.stack_depth(true, depth),
                    (_, Ty::Kstack(depth, _)) => self.stack_depth(false, depth),
                    _ => return Err(Diagnostic::error(e.span, "this has no length")),
                }
                Ok(())
            }
            name if TESTS.contains(&name) => {
                let arg = need(0)?;
                let holds = type_test(name, arg, &self.raw_ty(arg), &self.ty(arg)).unwrap_or(false);
                self.a.imm(0, i64::from(holds));
                Ok(())
            }
            "socket_cookie" => {
                self.scalar(need(0)?)?;
                let end = self.a.label();
                self.a.mov(1, 0);
                self.a.imm(0, 0);
                self.a.branch(cond::EQ, 1, Src::Imm(0), end);
                self.a.call(helpers::SOCKET_COOKIE);
                self.a.bind(end);
                Ok(())
            }
            "percpu_kaddr" => {
                let address = |g: &Self, name: &str| g.s.world.types.symbol(name).unwrap_or(0) as i64;
                let symbol = match first.map(|f| &f.kind) {
                    Some(ExprKind::Str(s) | ExprKind::Ident(s)) => address(self, s),
                    _ => 0,
                };
                match args.get(1) {
                    Some(cpu) => self.scalar(cpu)?,
                    None => self.a.call(helpers::CPU),
                }
                self.a.alu(alu::LSH, 0, Src::Imm(3));
                let offsets = address(self, "__per_cpu_offset");
                self.a.imm(3, offsets);
                self.a.alu(alu::ADD, 3, Src::Reg(0));
                let to = self.temp_stack(8);
                self.read_small(to, 8, 0, Space::Kernel);
                self.a.load(Width::D, 0, 10, to);
                self.a.imm(1, symbol);
                self.a.alu(alu::ADD, 0, Src::Reg(1));
                Ok(())
            }
            "strlen" => self.strlen(need(0)?),
            "filter" => self.pcap_filter(args, e),
            "reg" => match &need(0)?.kind {
                ExprKind::Str(r) | ExprKind::Ident(r) => self.register(r, e),
                _ => Err(Diagnostic::error(e.span, "`reg()` takes a name")),
            },
            "kaddr" => {
                let address = match first.map(|f| &f.kind) {
                    Some(ExprKind::Str(s) | ExprKind::Ident(s)) => self.s.world.types.symbol(s),
                    _ => None,
                };
                self.a.imm(0, address.unwrap_or(0) as i64);
                Ok(())
            }
            "bswap" => {
                let arg = need(0)?;
                self.scalar(arg)?;
                match self.raw_ty(arg) {
                    Ty::Int { size: 2, .. } => self.a.swap(0, 16),
                    Ty::Int { size: 4, .. } => self.a.swap(0, 32),
                    Ty::Int { size: 8, .. } => self.a.swap(0, 64),
                    _ => self.extend(1, false),
                }
                Ok(())
            }
            "nsecs" if !args.is_empty() => {
                let clock = match first.map(|f| &f.kind) {
                    Some(ExprKind::Ident(w) | ExprKind::Str(w)) => w.as_str(),
                    _ => "boot",
                };
                match clock {
                    "monotonic" => self.a.call(helpers::KTIME),
                    "tai" | "sw_tai" if self.s.features.ktime_tai => self.a.call(helpers::KTIME_TAI),
                    "tai" | "sw_tai" => {
                        return Err(Diagnostic::error(e.span, "this clock is not available on this kernel"));
                    }
                    _ => self.a.call(helpers::KTIME_BOOT),
                }
                Ok(())
            }
            "kptr" | "uptr" => self.scalar(need(0)?),
            "sizeof" => {
                let of = need(0)?;
                let ty = match (&of.kind, self.raw_ty(of)) {
                    (ExprKind::Map { name, .. }, _) => self.map_info(name, of)?.value,
                    (_, ty) => ty,
                };
                let size = self.c_size(&ty).0;
                self.a.imm(0, i64::from(size));
                Ok(())
            }
            _ if args.is_empty() || matches!(name, "pid" | "tid") => self.builtin(name, e),
            _ => Err(Diagnostic::error(e.span, format!("`{name}()` has no number as value"))),
        }
    }

    /// Functions whose value lives in memory.
    pub(super) fn store_call(
        &mut self,
        name: &str,
        args: &[Expr],
        mem: Mem,
        ty: &Ty,
        e: &Expr,
    ) -> Result<()> {
        let size = self.size(ty);
        // Where only user space looks, nobody reads beyond the end of the string.
        let loose = self.loose.take() == Some(mem);
        let first =
            || args.first().ok_or_else(|| Diagnostic::error(e.span, format!("`{name}()` needs an argument")));
        match name {
            "str" => {
                let arg = first()?;
                let Ty::Str(size) = ty else { return Err(Diagnostic::error(e.span, "expected a string")) };
                if let Ty::Str(_) = self.ty(arg) {
                    return self.store(arg, mem, ty);
                }
                let max = match args.get(1) {
                    Some(n) if folded(n).is_none() => {
                        self.scalar(n)?;
                        Some(self.keep())
                    }
                    _ => None,
                };
                let space = self.space_of(arg);
                self.pointer(arg)?;
                if loose {
                    self.loose = Some(mem);
                }
                self.read_str(mem, *size, max, space);
                self.loose = None;
                Ok(())
            }
            "buf" => {
                let arg = first()?;
                match args.get(1) {
                    Some(n) => self.scalar(n)?,
                    None => {
                        let n = match self.raw_ty(arg) {
                            Ty::Place(c, _) => self.s.world.size(&c),
                            Ty::Str(n) => n,
                            _ => 0,
                        };
                        self.a.imm(0, i64::from(n));
                    }
                }
                let len = self.keep();
                let space = self.space_of(arg);
                self.pointer(arg)?;
                let from = self.keep();
                let Ty::Buf(max) = ty else { return Err(Diagnostic::error(e.span, "expected a buffer")) };
                self.zero(mem, size);
                self.buffer(mem, max + 4, from, len, space);
                Ok(())
            }
            "ntop" => self.ntop(args, mem, e),
            "pton" => {
                let address = match &first()?.kind {
                    ExprKind::Str(text) => text.parse::<std::net::IpAddr>().ok(),
                    _ => None,
                };
                let bytes: Vec<u8> = match address {
                    Some(std::net::IpAddr::V4(a)) => a.octets().to_vec(),
                    Some(std::net::IpAddr::V6(a)) => a.octets().to_vec(),
                    None => return Err(Diagnostic::error(e.span, "this is no address")),
                };
                self.zero(mem, size);
                let (base, off) = self.base(mem, 1);
                for (i, word) in bytes.chunks_exact(4).enumerate() {
                    let word = i32::from_le_bytes(word.try_into().unwrap_or_default());
                    self.a.store_imm(Width::W, base, off + i as i32 * 4, word);
                }
                Ok(())
            }
            "macaddr" => {
                let arg = first()?;
                let space = self.space_of(arg);
                self.pointer(arg)?;
                self.read_bytes(mem, 6, 8, space);
                Ok(())
            }
            "str_concat" => match args {
                [a, b] => self.concat(a, b, mem, size),
                _ => Err(Diagnostic::error(e.span, "`str_concat()` takes two strings")),
            },
            "ksym" | "cgroup_path" | "strftime" | "strerror" | "signal_name" => {
                let arg = if name == "strftime" { args.get(1) } else { args.first() };
                let Some(arg) = arg else { return Err(Diagnostic::error(e.span, "an argument is missing")) };
                self.scalar(arg)?;
                self.put(mem);
                Ok(())
            }
            "usym" => {
                self.scalar(first()?)?;
                self.put(mem);
                self.a.call(helpers::PID_TGID);
                self.a.alu(alu::RSH, 0, Src::Imm(32));
                self.put(mem.plus(8));
                Ok(())
            }
            "kstack" | "ustack" => {
                self.stack_id(mem, name == "ustack");
                Ok(())
            }
            "flow" => self.flow(first()?, mem),
            _ if args.is_empty() => self.store_builtin(name, mem, ty, e),
            _ => Err(Diagnostic::error(e.span, format!("`{name}()` cannot be used here"))),
        }
    }

    /// How to read where an expression points to.
    fn space_of(&self, e: &Expr) -> Space {
        match self.raw_ty(e) {
            Ty::Ptr(_, Space::User) | Ty::Place(_, Space::User) => Space::User,
            Ty::Ptr(..) | Ty::Place(..) => Space::Kernel,
            _ => match self.t.unit.attach.first() {
                Some(Attach::Uprobe { .. } | Attach::Uretprobe { .. } | Attach::Usdt { .. }) => Space::User,
                _ => Space::Kernel,
            },
        }
    }

    /// `r0 = address` given by a number, a pointer or a place.
    fn pointer(&mut self, e: &Expr) -> Result<()> {
        match self.raw_ty(e) {
            Ty::Place(..) => {
                let (off, _) = self.place(e)?;
                if off != 0 {
                    self.a.alu(alu::ADD, 0, Src::Imm(off));
                }
                Ok(())
            }
            Ty::Str(_) | Ty::Buf(_) => {
                let mem = self.memory(e)?;
                self.address(mem, 0);
                Ok(())
            }
            _ => self.scalar(e),
        }
    }

    fn ntop(&mut self, args: &[Expr], mem: Mem, e: &Expr) -> Result<()> {
        let Some(address) = args.last() else {
            return Err(Diagnostic::error(e.span, "an address is missing"));
        };
        if self.raw_ty(address) == Ty::Inet {
            return self.store(address, mem, &Ty::Inet);
        }
        let bytes = match self.raw_ty(address) {
            Ty::Place(c, _) => match self.s.world.look(&c) {
                C::Struct(crate::passes::ty::StructRef::Kernel(id)) => {
                    match self.s.world.types.describe(id) {
                        Some(TypeDesc::Struct { size, .. }) => size,
                        _ => 16,
                    }
                }
                _ => self.s.world.size(&c),
            },
            _ => 4,
        };
        let bytes = if bytes >= 16 { 16 } else { 4 };
        self.zero(mem, 24);
        if args.len() > 1 {
            self.scalar(args.first().unwrap_or(address))?;
        } else {
            self.a.imm(0, i64::from(if bytes == 16 { AF_INET6 } else { AF_INET }));
        }
        let (base, off) = self.base(mem, 1);
        self.a.store(Width::W, base, off, 0);
        match self.raw_ty(address) {
            Ty::Place(_, space) => {
                self.pointer(address)?;
                self.read_bytes(mem.plus(4), bytes, bytes, space);
            }
            Ty::Str(_) => {
                let source = self.memory(address)?;
                let (b, o) = self.base(source, 2);
                self.a.load(Width::W, 0, b, o);
                let (base, off) = self.base(mem, 1);
                self.a.store(Width::W, base, off + 4, 0);
            }
            _ => {
                self.scalar(address)?;
                let (base, off) = self.base(mem, 1);
                self.a.store(Width::W, base, off + 4, 0);
            }
        }
        let _ = cond::EQ;
        Ok(())
    }
}
