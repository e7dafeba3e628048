//! Types of builtins and functions.

use super::infer::{Context, Infer};
use super::ty::{Agg, C, Space, StructRef, Ty};
use crate::ast::{Expr, ExprKind};
use crate::diag::{Diagnostic, Result};
use crate::program::{Attach, Kind, Series};
use crate::types::Tag;

/// Builtins, for the nearest name.
pub const BUILTINS: [&str; 38] = [
    "pid",
    "tid",
    "uid",
    "gid",
    "comm",
    "nsecs",
    "elapsed",
    "cpu",
    "cgroup",
    "curtask",
    "rand",
    "kstack",
    "ustack",
    "stack",
    "args",
    "arg0",
    "arg1",
    "arg2",
    "arg3",
    "arg4",
    "arg5",
    "retval",
    "probe",
    "func",
    "ctx",
    "jiffies",
    "numaid",
    "ppid",
    "pcomm",
    "username",
    "true",
    "false",
    "usermode",
    "cpid",
    "ncpus",
    "sarg0",
    "probetype",
    "has_cpid",
];

/// Functions with the fewest and most arguments they take.
const FUNCTIONS: [(&str, usize, usize); 85] = [
    ("tseries", 3, 4),
    ("strstr", 2, 2),
    ("str_concat", 2, 2),
    ("strcap", 1, 1),
    ("strerror", 1, 1),
    ("signal_name", 1, 1),
    ("memcmp", 3, 3),
    ("is_str", 1, 1),
    ("is_ptr", 1, 1),
    ("is_array", 1, 1),
    ("is_integer", 1, 1),
    ("is_unsigned_integer", 1, 1),
    ("is_literal", 1, 1),
    ("fail", 1, 16),
    ("socket_cookie", 1, 1),
    ("percpu_kaddr", 1, 2),
    ("signal_thread", 1, 1),
    ("ncpus", 0, 0),
    ("numaid", 0, 0),
    ("usermode", 0, 0),
    ("username", 0, 0),
    ("cpid", 0, 0),
    ("has_cpid", 0, 0),
    ("probetype", 0, 0),
    ("retval", 0, 0),
    ("func", 0, 0),
    ("printf", 1, 64),
    ("errorf", 1, 64),
    ("warnf", 1, 64),
    ("print", 1, 3),
    ("clear", 1, 1),
    ("zero", 1, 1),
    ("delete", 1, 2),
    ("has_key", 2, 2),
    ("len", 1, 1),
    ("exit", 0, 16),
    ("time", 0, 1),
    ("cat", 1, 16),
    ("system", 1, 16),
    ("join", 1, 2),
    ("emit", 2, 2),
    ("count", 0, 0),
    ("sum", 1, 1),
    ("avg", 1, 1),
    ("min", 1, 1),
    ("max", 1, 1),
    ("stats", 1, 1),
    ("hist", 1, 2),
    ("lhist", 4, 4),
    ("str", 1, 2),
    ("buf", 1, 2),
    ("ntop", 1, 2),
    ("pton", 1, 1),
    ("macaddr", 1, 1),
    ("ksym", 1, 1),
    ("usym", 1, 1),
    ("kstack", 0, 2),
    ("ustack", 0, 2),
    ("bswap", 1, 1),
    ("strftime", 2, 2),
    ("strncmp", 3, 3),
    ("strcontains", 2, 2),
    ("reg", 1, 1),
    ("nsecs", 0, 1),
    ("kaddr", 1, 1),
    ("kptr", 1, 1),
    ("uptr", 1, 1),
    ("cgroup_path", 1, 2),
    ("sizeof", 1, 1),
    ("flow", 1, 1),
    ("signal", 1, 1),
    ("strlen", 1, 1),
    ("filter", 1, 2),
    ("pid", 0, 1),
    ("tid", 0, 1),
    ("comm", 0, 0),
    ("cpu", 0, 0),
    ("uid", 0, 0),
    ("gid", 0, 0),
    ("rand", 0, 0),
    ("elapsed", 0, 0),
    ("curtask", 0, 0),
    ("cgroup", 0, 0),
    ("jiffies", 0, 0),
    ("probe", 0, 0),
];

/// The record `flow()` gives.
pub(crate) fn flow_type() -> Ty {
    let int = |size| Ty::Int { size, signed: false };
    let part = |n: &str, t| (n.to_string(), t);
    Ty::Tuple(vec![
        part("saddr", Ty::Inet),
        part("daddr", Ty::Inet),
        part("sport", int(2)),
        part("dport", int(2)),
        part("proto", int(1)),
        part("netns", int(4)),
    ])
}

impl Infer<'_> {
    fn task(&self) -> Ty {
        if let Some(own) = self.world.structs.iter().position(|s| s.name == "task_struct") {
            return Ty::Ptr(C::Struct(StructRef::Script(own)), Space::Kernel);
        }
        match self.world.types.find(Tag::Struct, "task_struct") {
            Some(id) => {
                let space = if self.features.current_task_btf { Space::Btf } else { Space::Kernel };
                Ty::Ptr(C::Struct(StructRef::Kernel(id)), space)
            }
            None => Ty::U64,
        }
    }

    pub(crate) fn builtin(&mut self, name: &str, e: &Expr) -> Result<Ty> {
        let err = |text: String| Diagnostic::error(e.span, text);
        Ok(match name {
            "pid" | "tid" | "uid" | "gid" | "cpu" | "rand" | "ppid" | "cpid" | "ncpus" => {
                Ty::Int { size: 4, signed: false }
            }
            "usermode" => Ty::Int { size: 1, signed: false },
            "has_cpid" => Ty::Bool,
            "username" => Ty::Username,
            "probetype" => Ty::Str(self.probe_type().len() as u32 + 1),
            "nsecs" | "elapsed" | "cgroup" | "jiffies" => Ty::U64,
            "numaid" => Ty::Int { size: 4, signed: false },
            "comm" | "pcomm" => Ty::Str(16),
            "curtask" => self.task(),
            "kstack" | "stack" => Ty::Kstack(127, "bpftrace".into()),
            "ustack" => Ty::Ustack(127, "bpftrace".into()),
            "true" | "false" => Ty::Bool,
            "probe" => Ty::Str(self.probe_name().len() as u32 + 1),
            "ctx" => {
                let context = match &self.attach {
                    Some(Attach::Iter { target }) => {
                        let name = format!("bpf_iter__{target}");
                        self.world.types.find(crate::types::Tag::Struct, &name)
                    }
                    _ => None,
                };
                match context {
                    Some(id) => Ty::Ptr(C::Struct(StructRef::Kernel(id)), Space::Ctx),
                    None => Ty::Ptr(C::Void, Space::Kernel),
                }
            }
            "args" => match &self.context {
                Context::None => {
                    return Err(match (self.kind, &self.attach) {
                        (Kind::Tracepoint, Some(Attach::Tracepoint { category, event })) => {
                            err(format!("the fields of tracepoint `{category}:{event}` are not known"))
                                .hint("does it exist here? try `-l`; reading tracefs needs privileges")
                        }
                        _ => err("`args` is not available in this probe".into()).hint("use arg0, arg1, ..."),
                    });
                }
                _ => Ty::Args,
            },
            "retval" => match (&self.attach, &self.context) {
                (Some(Attach::Kretprobe { .. } | Attach::Uretprobe { .. }), _) => Ty::I64,
                (Some(Attach::Fexit { .. }), Context::Params(s)) => match s.ret {
                    Some(ret) => self.loaded(&C::Lazy(ret), Space::Btf),
                    None => return Err(err("this function returns nothing".into())),
                },
                (Some(Attach::Fexit { .. }), _) => {
                    return Err(err("the signature of this function is not known".into()));
                }
                _ => {
                    return Err(err("`retval` exists in return probes only".into())
                        .hint("use kretprobe, fexit or uretprobe"));
                }
            },
            "func" => match &self.attach {
                Some(
                    Attach::Kprobe { .. }
                    | Attach::Kretprobe { .. }
                    | Attach::Fentry { .. }
                    | Attach::Fexit { .. },
                ) => Ty::Str(self.func_name().len() as u32 + 1),
                Some(Attach::Uprobe { .. } | Attach::Uretprobe { .. }) => {
                    Ty::Str(self.func_name().len() as u32 + 1)
                }
                _ => return Err(err("`func` exists in function probes only".into())),
            },
            _ => {
                if let Some(n) = name.strip_prefix("arg").and_then(|n| n.parse::<usize>().ok()) {
                    return self.arg(n, e);
                }
                if let Some((_, id)) = self.world.enumerator(name) {
                    return Ok(Ty::Enum(id));
                }
                let names = BUILTINS.iter().copied().chain(FUNCTIONS.iter().map(|f| f.0));
                return Err(err(format!("Unknown identifier: '{name}'")).nearest(name, names));
            }
        })
    }

    pub(crate) fn probe_name(&self) -> String {
        self.attach.as_ref().map_or(String::new(), super::points::name)
    }

    pub(crate) fn func_name(&self) -> String {
        match &self.attach {
            Some(
                Attach::Kprobe { function, .. }
                | Attach::Kretprobe { function }
                | Attach::Fentry { function, .. }
                | Attach::Fexit { function, .. },
            ) => function.clone(),
            Some(Attach::Uprobe { symbol, .. } | Attach::Uretprobe { symbol, .. }) => symbol.clone(),
            _ => String::new(),
        }
    }

    fn arg(&mut self, n: usize, e: &Expr) -> Result<Ty> {
        let most = match (&self.attach, self.features.arch) {
            (Some(Attach::Kprobe { .. } | Attach::Uprobe { .. }), crate::features::Arch::X86_64) => 6,
            (Some(Attach::Kprobe { .. } | Attach::Uprobe { .. }), crate::features::Arch::Aarch64) => 8,
            (Some(Attach::RawTracepoint { .. } | Attach::Fentry { .. } | Attach::Fexit { .. }), _) => {
                match &self.context {
                    Context::Params(s) => s.params.len(),
                    _ => 12,
                }
            }
            (Some(Attach::Usdt { args, .. }), _) => {
                let all = crate::codegen::usdt::signatures(args);
                return match all.get(n) {
                    Some((true, _)) => Ok(Ty::I64),
                    Some((false, _)) => Ok(Ty::U64),
                    None => Err(Diagnostic::error(
                        e.span,
                        format!("this probe has {} arguments: arg0 is the first", all.len()),
                    )),
                };
            }
            _ => {
                return Err(Diagnostic::error(e.span, format!("`arg{n}` is not available in this probe"))
                    .hint("tracepoints have `args.field`"));
            }
        };
        if n >= most {
            return Err(Diagnostic::error(
                e.span,
                format!("this probe has {most} arguments: arg0 is the first"),
            ));
        }
        Ok(match &self.context {
            Context::Params(s) => match s.params.get(n) {
                Some(p) => self.loaded(&C::Lazy(p.ty), self.trusted()),
                None => Ty::U64,
            },
            _ => Ty::U64,
        })
    }

    fn map_arg(&mut self, args: &[Expr], name: &str) -> Result<String> {
        let e = args.first();
        match e.and_then(|e| self.is_map(e)) {
            Some(map) => {
                self.whole(&map, e.map(|e| e.span).unwrap_or_default())?;
                Ok(map)
            }
            None => {
                let span = e.map(|e| e.span).unwrap_or_default();
                Err(Diagnostic::error(span, format!("`{name}()` takes a map without a key")))
            }
        }
    }

    /// A map named as a whole: nothing is learned of its key.
    fn whole(&mut self, name: &str, span: crate::diag::Span) -> Result<()> {
        if self.last && !self.maps.contains_key(name) {
            return Err(Diagnostic::error(span, format!("map `@{name}` is never assigned a value"))
                .nearest(name, self.maps.keys().map(String::as_str)));
        }
        Ok(())
    }

    pub(crate) fn call(&mut self, name: &str, args: &[Expr], e: &Expr) -> Result<Ty> {
        let Some((_, least, most)) = FUNCTIONS.iter().find(|(n, ..)| *n == name) else {
            let mut err = Diagnostic::error(e.span, format!("Unknown function: '{name}'"))
                .nearest(name, FUNCTIONS.iter().map(|f| f.0));
            if matches!(name, "override" | "override_return" | "write_user") {
                err = err.hint("netwhy does not change what it watches");
            }
            return Err(err);
        };
        if args.len() < *least || args.len() > *most {
            let s = if *least == 1 { "" } else { "s" };
            let text = match (args.len() < *least, least == most) {
                (_, true) => format!("{name}() requires {least} argument{s} ({} provided)", args.len()),
                (true, _) => {
                    format!("{name}() requires at least {least} argument{s} ({} provided)", args.len())
                }
                _ => format!("{name}() can only have up to {most} arguments ({} provided)", args.len()),
            };
            return Err(Diagnostic::error(e.span, text));
        }
        let first = args.first();
        match name {
            "printf" | "errorf" | "warnf" | "cat" | "system" => {
                let allowed = self.features.allow_unsafe;
                if name == "system" && !allowed {
                    return Err(Diagnostic::error(
                        e.span,
                        "system() is an unsafe function being used in safe mode",
                    )
                    .hint("it runs commands: allow it with --unsafe"));
                }
                self.check_format(args, e)?;
                Ok(Ty::None)
            }
            "print" => {
                let Some(first) = first else { return Ok(Ty::None) };
                if let Some(map) = self.is_map(first) {
                    let keyed = self.maps.get(&map).is_none_or(|m| m.key != Some(None));
                    self.whole(&map, first.span)?;
                    for extra in args.get(1..).unwrap_or(&[]) {
                        let ty = self.expr(extra)?;
                        self.number(&ty, extra)?;
                    }
                    let _ = keyed;
                    return Ok(Ty::None);
                }
                if args.len() > 1 {
                    return Err(Diagnostic::error(e.span, "only maps are printed with top and divisor"));
                }
                let ty = self.expr(first)?;
                if matches!(ty, Ty::None | Ty::Args) {
                    return Err(Diagnostic::error(first.span, "this has no value"));
                }
                Ok(Ty::None)
            }
            "clear" | "zero" => {
                self.map_arg(args, name)?;
                Ok(Ty::None)
            }
            "delete" => {
                let Some(first) = first else { return Ok(Ty::None) };
                match (&first.kind, args.get(1)) {
                    (ExprKind::Map { name, key: None }, Some(key)) => {
                        self.key(name, Some(key), first.span)?;
                    }
                    (ExprKind::Map { name, key }, None) => {
                        self.key(name, key.as_deref(), first.span)?;
                    }
                    _ => return Err(Diagnostic::error(first.span, "`delete()` takes a map and a key")),
                }
                Ok(Ty::Bool)
            }
            "has_key" => {
                let map = self.map_arg(args, name)?;
                if let Some(key) = args.get(1) {
                    self.key(&map, Some(key), e.span)?;
                }
                Ok(Ty::Bool)
            }
            "len" => match first.map(|f| (f, self.is_map(f))) {
                Some((f, Some(map))) => {
                    if !self.features.for_each_map_elem {
                        return Err(Diagnostic::error(
                            e.span,
                            "counting the entries of a map needs Linux 5.13 or later",
                        ));
                    }
                    self.whole(&map, f.span)?;
                    if self.last && self.maps.get(&map).is_some_and(|m| m.key == Some(None)) {
                        let text = "call to len() expects a map with explicit keys (non-scalar map)";
                        return Err(Diagnostic::error(e.span, text));
                    }
                    Ok(Ty::I64)
                }
                Some((f, None)) => match self.expr(f)? {
                    Ty::Kstack(..) | Ty::Ustack(..) => Ok(Ty::I64),
                    Ty::Unknown => Ok(Ty::Unknown),
                    other => Err(Diagnostic::error(f.span, format!("a {} has no length", other.name()))),
                },
                None => Ok(Ty::U64),
            },
            "exit" => {
                if let Some(code) = first {
                    let ty = self.expr(code)?;
                    self.number(&ty, code)?;
                }
                if let Some(format) = args.get(1..).filter(|rest| !rest.is_empty()) {
                    self.check_format(format, e)?;
                }
                Ok(Ty::None)
            }
            "time" => match first.map(|f| &f.kind) {
                None | Some(ExprKind::Str(_)) => Ok(Ty::None),
                _ => Err(Diagnostic::error(e.span, "`time()` takes a format in quotes")),
            },
            "join" => {
                let Some(first) = first else { return Ok(Ty::None) };
                let ty = self.expr(first)?;
                self.number(&ty, first)?;
                match args.get(1).map(|d| &d.kind) {
                    None | Some(ExprKind::Str(_)) => Ok(Ty::None),
                    _ => Err(Diagnostic::error(e.span, "the delimiter must be a string in quotes")),
                }
            }
            "emit" => {
                let Some(ExprKind::Ident(_) | ExprKind::Str(_)) = first.map(|f| &f.kind) else {
                    return Err(Diagnostic::error(e.span, "the first argument of `emit()` names the record"));
                };
                match args.get(1) {
                    Some(record @ Expr { kind: ExprKind::Record(_), .. }) => {
                        self.expr(record)?;
                        Ok(Ty::None)
                    }
                    _ => Err(Diagnostic::error(e.span, "the second argument of `emit()` is a record")
                        .hint("as in `emit(drop, {reason: args.reason})`")),
                }
            }
            "count" => Ok(Ty::Agg(Agg::Count)),
            "sum" | "avg" | "min" | "max" | "stats" => {
                let Some(first) = first else { return Ok(Ty::None) };
                let ty = self.expr(first)?;
                self.number(&ty, first)?;
                let signed = self.value(&ty).fits_signed();
                Ok(Ty::Agg(match name {
                    "sum" => Agg::Sum { signed },
                    "avg" => Agg::Avg { signed },
                    "min" => Agg::Min { signed },
                    "max" => Agg::Max { signed },
                    _ => Agg::Stats { signed },
                }))
            }
            "hist" => {
                let Some(first) = first else { return Ok(Ty::None) };
                let ty = self.expr(first)?;
                self.number(&ty, first)?;
                match args.get(1) {
                    None => Ok(Ty::Agg(Agg::Hist { bits: 0 })),
                    Some(bits) => match super::infer::folded(bits) {
                        Some(n @ 0..=5) => {
                            self.expr(bits)?;
                            Ok(Ty::Agg(Agg::Hist { bits: n as u8 }))
                        }
                        _ => Err(Diagnostic::error(bits.span, "`hist()` takes 0 to 5 bits")),
                    },
                }
            }
            "lhist" => {
                let mut bounds = Vec::new();
                for (i, arg) in args.iter().enumerate() {
                    let ty = self.expr(arg)?;
                    self.number(&ty, arg)?;
                    if i > 0 {
                        bounds.push(super::infer::folded(arg).ok_or_else(|| {
                            Diagnostic::error(arg.span, "bounds and step of `lhist()` are constants")
                        })?);
                    }
                }
                let [min, max, step] = bounds[..] else { return Ok(Ty::None) };
                let sane =
                    step > 0 && max > min && (i128::from(max) - i128::from(min)) / i128::from(step) <= 1000;
                if !sane || i32::try_from(step).is_err() {
                    return Err(Diagnostic::error(
                        e.span,
                        "`lhist()` takes min < max and at most 1000 steps",
                    ));
                }
                Ok(Ty::Agg(Agg::Lhist { min, max, step }))
            }
            "tseries" => {
                let [value, interval, count, kind @ ..] = args else { return Ok(Ty::None) };
                let ty = self.expr(value)?;
                self.number(&ty, value)?;
                let constant = |e: &Expr, what: &str| {
                    let n = super::infer::folded(e).and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0);
                    n.ok_or_else(|| {
                        Diagnostic::error(e.span, format!("tseries() expects {what} as a literal"))
                    })
                };
                let interval = constant(interval, "a positive interval of nanoseconds")?;
                let intervals = constant(count, "a positive number of intervals")?;
                let Some(intervals) = u32::try_from(intervals).ok().filter(|n| *n <= 1_000_000) else {
                    return Err(Diagnostic::error(count.span, "tseries() keeps at most 1000000 intervals"));
                };
                let kind = match kind.first().map(|k| &k.kind) {
                    None => Series::Last,
                    Some(ExprKind::Str(word) | ExprKind::Ident(word)) => match word.as_str() {
                        "none" => Series::Last,
                        "avg" => Series::Avg,
                        "sum" => Series::Sum,
                        "min" => Series::Min,
                        "max" => Series::Max,
                        _ => {
                            return Err(Diagnostic::error(e.span, format!("tseries() knows no `{word}`"))
                                .hint("it knows avg, max, min and sum"));
                        }
                    },
                    _ => {
                        return Err(Diagnostic::error(
                            e.span,
                            "the last argument of tseries() is a string in quotes",
                        ));
                    }
                };
                let signed = self.value(&ty).fits_signed();
                Ok(Ty::Agg(Agg::Tseries { interval, count: intervals, kind, signed }))
            }
            _ => self.value_call(name, args, e),
        }
    }

    fn value_call(&mut self, name: &str, args: &[Expr], e: &Expr) -> Result<Ty> {
        if args.is_empty() && BUILTINS.contains(&name) {
            return self.builtin(name, e);
        }
        let word = |e: &Expr| match &e.kind {
            ExprKind::Ident(w) | ExprKind::Str(w) => Some(w.clone()),
            _ => None,
        };
        match name {
            "nsecs" => {
                return match args.first().and_then(word).as_deref() {
                    Some("monotonic" | "boot" | "sw_tai" | "tai") => Ok(Ty::U64),
                    _ => Err(Diagnostic::error(e.span, "the clocks are monotonic, boot, tai and sw_tai")),
                };
            }
            "fail" => {
                let mut text = match args.first().map(|a| &a.kind) {
                    Some(ExprKind::Str(text)) => text.clone(),
                    _ => return Err(Diagnostic::error(e.span, "`fail()` takes a message in quotes")),
                };
                for arg in args.get(1..).unwrap_or(&[]) {
                    let shown = match self.known(arg)? {
                        Some(super::comptime::Known::Number(n)) => n.to_string(),
                        Some(super::comptime::Known::Text(text)) => text,
                        None => "?".to_string(),
                    };
                    if let Some(at) = text.find('%') {
                        let end = text[at + 1..]
                            .find(|c: char| c.is_ascii_alphabetic())
                            .map_or(text.len(), |n| at + n + 2);
                        text.replace_range(at..end, &shown);
                    }
                }
                return Err(Diagnostic::error(e.span, text));
            }
            name if super::comptime::TESTS.contains(&name) => {
                if let Some(arg) = args.first() {
                    self.expr(arg)?;
                }
                return Ok(Ty::Bool);
            }
            "percpu_kaddr" => {
                let Some(symbol) = args.first().and_then(word) else {
                    return Err(Diagnostic::error(
                        e.span,
                        "`percpu_kaddr()` takes the name of a symbol in quotes",
                    ));
                };
                if let Some(cpu) = args.get(1) {
                    let ty = self.expr(cpu)?;
                    self.number(&ty, cpu)?;
                }
                for symbol in [symbol.as_str(), "__per_cpu_offset"] {
                    if self.world.types.symbol(symbol).is_none() {
                        return Err(Diagnostic::error(
                            e.span,
                            format!("Failed to resolve kernel symbol: {symbol}"),
                        ));
                    }
                }
                return Ok(Ty::U64);
            }
            "pid" | "tid" => {
                return match args.first().and_then(word).as_deref() {
                    Some("init" | "curr_ns") => Ok(Ty::Int { size: 4, signed: false }),
                    _ => Err(Diagnostic::error(e.span, "the namespaces are init and curr_ns")),
                };
            }
            "kstack" | "ustack" => {
                let (mut depth, mut mode) = (127, "bpftrace".to_string());
                for arg in args {
                    match (&arg.kind, word(arg)) {
                        (ExprKind::Int(n @ 1..=127), _) => depth = *n as u32,
                        (_, Some(m)) if ["bpftrace", "perf", "raw", "build_id"].contains(&m.as_str()) => {
                            mode = m
                        }
                        _ => {
                            return Err(Diagnostic::error(
                                arg.span,
                                "expected bpftrace, perf, raw or 1 to 127 frames",
                            ));
                        }
                    }
                }
                return Ok(if name == "kstack" { Ty::Kstack(depth, mode) } else { Ty::Ustack(depth, mode) });
            }
            "strftime" => {
                let (Some(ExprKind::Str(format)), Some(time)) = (args.first().map(|a| &a.kind), args.get(1))
                else {
                    return Err(Diagnostic::error(
                        e.span,
                        "the first argument of `strftime()` is a format in quotes",
                    ));
                };
                let ty = self.expr(time)?;
                self.number(&ty, time)?;
                return Ok(Ty::Timestamp(format.clone()));
            }
            "reg" => {
                let Some(reg) = args.first().and_then(word) else {
                    return Err(Diagnostic::error(e.span, "`reg()` takes the name of a register in quotes"));
                };
                if self.kind != Kind::Kprobe
                    || crate::codegen::regs::offset(self.features.arch, &reg).is_none()
                {
                    return Err(Diagnostic::error(e.span, format!("no register `{reg}` in this probe")));
                }
                return Ok(Ty::U64);
            }
            "kaddr" => {
                let Some(symbol) = args.first().and_then(word) else {
                    return Err(Diagnostic::error(e.span, "`kaddr()` takes the name of a symbol in quotes"));
                };
                if self.world.types.symbol(&symbol).is_none() {
                    return Err(Diagnostic::error(
                        e.span,
                        format!("Failed to resolve kernel symbol: {symbol}"),
                    ));
                }
                return Ok(Ty::U64);
            }
            "filter" => {
                let Some(text @ Expr { kind: ExprKind::Str(expression), .. }) = args.last() else {
                    return Err(Diagnostic::error(
                        e.span,
                        "`filter()` takes a packet and an expression in quotes",
                    )
                    .hint("as in `filter(args.skb, \"tcp port 80\")`"));
                };
                crate::codegen::filter::program(expression, text)?;
                if let [skb, _] = args {
                    let ty = self.expr(skb)?;
                    if ty != Ty::Unknown && self.flow_kind(&ty) != Some(FlowKind::Skb) {
                        return Err(Diagnostic::error(skb.span, "`filter()` takes a pointer to a sk_buff")
                            .hint("cast it, as in `filter((struct sk_buff *)args.skbaddr, ..)`"));
                    }
                }
                return Ok(Ty::Bool);
            }
            "pton" => {
                let Some(ExprKind::Str(text)) = args.first().map(|a| &a.kind) else {
                    return Err(Diagnostic::error(e.span, "`pton()` takes an address in quotes"));
                };
                return match text.parse::<std::net::IpAddr>() {
                    Ok(address) => {
                        let byte = C::Int { size: 1, signed: false, char_like: false };
                        let len = if address.is_ipv4() { 4 } else { 16 };
                        Ok(Ty::Place(C::Array(Box::new(byte), len), Space::Kernel))
                    }
                    Err(_) => Err(Diagnostic::error(e.span, format!("`{text}` is no address"))),
                };
            }
            _ => {}
        }
        let mut tys = Vec::new();
        for arg in args {
            let ty = self.expr(arg)?;
            tys.push(self.value(&ty));
        }
        let strlen = self.world.strlen;
        let first = tys.first().cloned().unwrap_or(Ty::Unknown);
        let second = args.get(1).and_then(super::infer::folded);
        let fail = |text: String| Err(Diagnostic::error(e.span, text));
        match name {
            "str" => match (&first, second) {
                (Ty::Str(n), _) => Ok(Ty::Str(*n)),
                (t, max) if t.scalar() || *t == Ty::Unknown || matches!(t, Ty::Place(..)) => {
                    // One more than the limit, so that a string that was cut can be told.
                    let max = max.map_or(strlen + 1, |n| (n.clamp(1, 1 << 14) as u32).min(strlen + 1));
                    Ok(Ty::Str(max))
                }
                (t, _) => fail(format!("`str()` takes an address, not a {}", t.name())),
            },
            "buf" => match (&first, second) {
                (Ty::Place(c @ C::Array(..), _), None) => Ok(Ty::Buf(self.world.size(c).min(strlen))),
                (Ty::Str(n), None) => Ok(Ty::Buf(*n)),
                (_, Some(n)) => Ok(Ty::Buf(n.clamp(0, i64::from(strlen)) as u32)),
                (t, None) if (t.scalar() || matches!(t, Ty::Str(_))) && args.len() == 2 => {
                    Ok(Ty::Buf(strlen))
                }
                (Ty::Unknown, _) => Ok(Ty::Unknown),
                _ => fail("`buf()` of an address needs a length".into()),
            },
            "ntop" => {
                let address = tys.last().cloned().unwrap_or(Ty::Unknown);
                match address {
                    Ty::Place(C::Array(_, n), _) => {
                        let bytes = match &tys.last() {
                            Some(Ty::Place(c, _)) => self.world.size(c),
                            _ => n,
                        };
                        if bytes != 4 && bytes != 16 && args.len() < 2 {
                            return fail("an address has 4 or 16 bytes".into());
                        }
                        Ok(Ty::Inet)
                    }
                    Ty::Place(C::Struct(_), _) | Ty::Inet | Ty::Unknown | Ty::Str(_) => Ok(Ty::Inet),
                    t if t.scalar() => Ok(Ty::Inet),
                    t => fail(format!("`ntop()` takes an address, not a {}", t.name())),
                }
            }
            "macaddr" if matches!(args.first().map(|a| &a.kind), Some(ExprKind::Str(_))) => {
                fail("macaddr() does not support literal string arguments".into())
            }
            "macaddr" => Ok(Ty::Mac),
            "ksym" | "usym" => {
                if let Some(arg) = args.first() {
                    self.number(&first, arg)?;
                }
                Ok(if name == "ksym" { Ty::Ksym } else { Ty::Usym })
            }
            "bswap" => match first {
                Ty::Int { size, .. } => Ok(Ty::Int { size, signed: false }),
                Ty::Unknown => Ok(Ty::Unknown),
                t => fail(format!("`bswap()` takes an integer, not a {}", t.name())),
            },
            "strlen" | "strcap" if matches!(first, Ty::Ptr(..)) => Ok(Ty::U64),
            "strncmp" | "strcontains" | "strlen" | "strstr" | "str_concat" | "strcap" => {
                for (ty, arg) in tys.iter().zip(args).take(2) {
                    if !matches!(ty, Ty::Str(_) | Ty::Unknown) {
                        return Err(Diagnostic::error(
                            arg.span,
                            format!("expected a string, found a {}", ty.name()),
                        ));
                    }
                }
                match (name, args.get(2).map(super::infer::folded)) {
                    ("strstr" | "strcap", _) => Ok(Ty::I64),
                    ("str_concat", _) => Ok(Ty::Str(1024)),
                    ("strncmp", Some(Some(0..=16384))) => Ok(Ty::U64),
                    ("strncmp", _) => fail("the length of `strncmp()` is a constant".into()),
                    ("strcontains", _) => Ok(Ty::Bool),
                    _ => Ok(Ty::U64),
                }
            }
            "strerror" | "signal_name" => {
                if let Some(arg) = args.first() {
                    self.number(&first, arg)?;
                }
                Ok(if name == "strerror" { Ty::Errno } else { Ty::Signal })
            }
            "memcmp" => {
                let number = args.get(2).and_then(super::infer::folded);
                let fits = |ty: &Ty| !matches!(ty, Ty::None | Ty::Args | Ty::Agg(_) | Ty::Ptr(..));
                match number {
                    Some(0..=4096) if tys.iter().take(2).all(fits) => Ok(Ty::I64),
                    Some(0..=4096) => fail("`memcmp()` compares values, not addresses".into()),
                    _ => fail("the length of `memcmp()` is a constant up to 4096".into()),
                }
            }
            "socket_cookie" => match &first {
                Ty::Ptr(_, Space::Btf) => Ok(Ty::U64),
                Ty::Unknown => Ok(Ty::Unknown),
                _ => fail("`socket_cookie()` takes a socket as the probe gives it, such as `args.sk`".into()),
            },
            "kptr" | "uptr" => match first {
                Ty::Ptr(c, _) => Ok(Ty::Ptr(c, if name == "kptr" { Space::Kernel } else { Space::User })),
                t if t.scalar() => {
                    Ok(Ty::Ptr(C::Void, if name == "kptr" { Space::Kernel } else { Space::User }))
                }
                t => fail(format!("`{name}()` takes an address, not a {}", t.name())),
            },
            "cgroup_path" => Ok(Ty::CgroupPath),
            "sizeof" => Ok(Ty::U64),
            "signal" | "signal_thread" if self.features.allow_unsafe => Ok(Ty::None),
            "signal" | "signal_thread" => {
                Err(Diagnostic::error(e.span, "`signal()` changes processes").hint("allow it with --unsafe"))
            }
            "flow" => match &first {
                Ty::Ptr(C::Struct(StructRef::Kernel(_)), _) => match self.flow_kind(&first) {
                    Some(_) => Ok(flow_type()),
                    None => fail("`flow()` takes a sk_buff, a sock or a sock_common".into()),
                },
                Ty::Ptr(C::Lazy(_), _) if self.flow_kind(&first).is_some() => Ok(flow_type()),
                Ty::Unknown => Ok(Ty::Unknown),
                _ => Err(Diagnostic::error(
                    e.span,
                    "`flow()` takes a pointer to a sk_buff, a sock or a sock_common",
                )
                .hint("cast it, as in `flow((struct sk_buff *)args.skbaddr)`")),
            },
            other => fail(format!("`{other}()` cannot be used here")),
        }
    }

    /// Which structure a `flow()` argument points to.
    pub(crate) fn flow_kind(&self, ty: &Ty) -> Option<FlowKind> {
        let Ty::Ptr(c, _) = ty else { return None };
        let C::Struct(StructRef::Kernel(id)) = self.world.look(c) else { return None };
        flow_kind(&self.world, id)
    }
}

/// What `flow()` looks into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlowKind {
    /// `struct sk_buff`
    Skb,
    /// `struct sock`, `sock_common` and what begins with them.
    Sock,
}

/// The kind of a structure by its name.
pub(crate) fn flow_kind(world: &super::fields::World<'_>, id: crate::types::TypeId) -> Option<FlowKind> {
    match world.types.describe(id) {
        Some(crate::types::TypeDesc::Struct { name, .. }) => match name.as_str() {
            "sk_buff" => Some(FlowKind::Skb),
            "sock" | "sock_common" | "inet_sock" | "tcp_sock" | "udp_sock" | "inet_connection_sock" => {
                Some(FlowKind::Sock)
            }
            _ => None,
        },
        _ => None,
    }
}
