//! Functions that are made of others: replaced by what they stand for, before names and types.

use crate::ast::{BinOp, Block, Expr, ExprKind, Stmt, StmtKind, TypeName, UnOp};
use crate::diag::{Diagnostic, Result, Span};
use crate::program::Config;

fn expr(span: Span, kind: ExprKind) -> Expr {
    Expr { id: 0, span, kind }
}

fn call(span: Span, name: &str, args: Vec<Expr>) -> Expr {
    expr(span, ExprKind::Call(name.to_string(), args))
}

fn nothing(span: Span) -> Box<Expr> {
    Box::new(expr(span, ExprKind::Tuple(Vec::new())))
}

fn number(span: Span, n: u64) -> Expr {
    expr(span, ExprKind::Int(n))
}

/// `if (cond) { then }` as an expression without a value.
fn when(span: Span, cond: Expr, then: Vec<Expr>) -> ExprKind {
    let stmts = then.into_iter().map(|e| Stmt { span, kind: StmtKind::Expr(e) }).collect();
    let kind = StmtKind::If { cond, then: Block { stmts }, other: Block::default() };
    ExprKind::Block(Block { stmts: vec![Stmt { span, kind }] }, nothing(span))
}

fn not(e: Expr) -> Expr {
    expr(e.span, ExprKind::Unary(UnOp::Not, Box::new(e)))
}

/// A field of a task, of the current one when none is given.
fn of_task(span: Span, args: &mut Vec<Expr>, path: [&str; 2]) -> ExprKind {
    let task = if args.is_empty() { expr(span, ExprKind::Ident("curtask".into())) } else { args.remove(0) };
    let first = expr(span, ExprKind::Field(Box::new(task), path[0].to_string()));
    ExprKind::Field(Box::new(first), path[1].to_string())
}

/// Replaces one expression; `None` when it stands for itself.
pub(crate) fn replace(e: &mut Expr, config: &Config) -> Result<Option<ExprKind>> {
    let span = e.span;
    let (name, mut args, called) = match &mut e.kind {
        ExprKind::Ident(name) => (name.clone(), Vec::new(), false),
        ExprKind::Call(name, args) => (name.clone(), std::mem::take(args), true),
        _ => return Ok(None),
    };
    let wrong = |wanted: &str| Err(Diagnostic::error(span, format!("`{name}()` takes {wanted}")));
    let out = match (name.as_str(), args.len(), called) {
        (builtin, ..) if builtin.starts_with("__builtin_") => {
            let plain = builtin.trim_start_matches("__builtin_").to_string();
            if called { ExprKind::Call(plain, args) } else { ExprKind::Ident(plain) }
        }
        ("ppid", 0 | 1, _) => of_task(span, &mut args, ["real_parent", "pid"]),
        ("pcomm", 0 | 1, _) => of_task(span, &mut args, ["real_parent", "comm"]),
        ("leader_tid", 0 | 1, _) => of_task(span, &mut args, ["group_leader", "pid"]),
        ("leader_comm", 0 | 1, _) => of_task(span, &mut args, ["group_leader", "comm"]),
        ("default_str_length", 0, _) => ExprKind::Int(config.max_strlen.into()),
        ("config", 0, true) => ExprKind::Record(settings(span, config)),
        ("assert", 2, true) => {
            let (message, cond) = (args.remove(1), args.remove(0));
            let (format, args) = match message.kind {
                ExprKind::Str(text) => (format!("assert failed: {}", text.replace('%', "%%")), Vec::new()),
                _ => ("assert failed: %s".to_string(), vec![message]),
            };
            let mut all = vec![expr(span, ExprKind::Str(format))];
            all.extend(args);
            when(span, not(cond), vec![call(span, "errorf", all), call(span, "exit", vec![number(span, 1)])])
        }
        ("static_assert", 2, true) => {
            let (message, cond) = (args.remove(1), args.remove(0));
            let known = expr(span, ExprKind::Comptime(Box::new(not(cond))));
            when(span, known, vec![call(span, "fail", vec![message])])
        }
        ("is_err", 1, true) => {
            let ty =
                TypeName { tag: String::new(), name: "int64".into(), pointers: 0, dims: Vec::new(), span };
            let value = expr(span, ExprKind::Cast(ty, Box::new(args.remove(0))));
            let low = expr(span, ExprKind::Unary(UnOp::Neg, Box::new(number(span, 4095))));
            let negative =
                expr(span, ExprKind::Binary(BinOp::Lt, Box::new(value.clone()), Box::new(number(span, 0))));
            let near = expr(span, ExprKind::Binary(BinOp::Ge, Box::new(value), Box::new(low)));
            ExprKind::Binary(BinOp::LAnd, Box::new(negative), Box::new(near))
        }
        ("find", 3, true) => {
            let (target, key, map) = (args.remove(2), args.remove(1), args.remove(0));
            let ExprKind::Map { name, key: None } = &map.kind else {
                return wrong("a map, a key and a variable");
            };
            if !matches!(target.kind, ExprKind::Var(_)) {
                return wrong("a map, a key and a variable");
            }
            let entry = expr(span, ExprKind::Map { name: name.clone(), key: Some(Box::new(key.clone())) });
            let set = Stmt { span, kind: StmtKind::Assign { target, op: None, value: entry } };
            let yes = ExprKind::Block(
                Block { stmts: vec![set] },
                Box::new(expr(span, ExprKind::Ident("true".into()))),
            );
            ExprKind::Ternary(
                Box::new(call(span, "has_key", vec![map, key])),
                Box::new(expr(span, yes)),
                Box::new(expr(span, ExprKind::Ident("false".into()))),
            )
        }
        ("strerror", 1, true) => match args[0].kind {
            ExprKind::Int(n) => ExprKind::Str(error_text(n)),
            _ => ExprKind::Call(name, args),
        },
        _ if called => ExprKind::Call(name, args),
        _ => return Ok(None),
    };
    Ok(Some(out))
}

/// The text of an error number, as strerror(3) has it.
pub fn error_text(number: u64) -> String {
    let text = i32::try_from(number).map(|n| std::io::Error::from_raw_os_error(n).to_string());
    match text {
        Ok(text) if !text.starts_with("Unknown error") => {
            text.split(" (os error").next().unwrap_or_default().to_string()
        }
        _ => "Unknown error".to_string(),
    }
}

/// What `config()` gives.
fn settings(span: Span, config: &Config) -> Vec<(String, Expr)> {
    let other = |name: &str, default: &str| {
        let given = config.other.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
        let value = given.unwrap_or(default);
        match value.parse() {
            Ok(n) => number(span, n),
            Err(_) if value == "true" || value == "false" => expr(span, ExprKind::Ident(value.to_string())),
            Err(_) => expr(span, ExprKind::Str(value.to_string())),
        }
    };
    let mut all = vec![
        ("max_strlen".to_string(), number(span, config.max_strlen.into())),
        ("max_map_keys".to_string(), number(span, config.max_map_keys.into())),
        (
            "print_maps_on_exit".to_string(),
            expr(span, ExprKind::Ident(config.print_maps_on_exit.to_string())),
        ),
    ];
    for (name, default) in [
        ("stack_mode", "bpftrace"),
        ("cpp_demangle", "true"),
        ("lazy_symbolication", "false"),
        ("license", "GPL"),
        ("log_size", "1000000"),
        ("max_bpf_progs", "1024"),
        ("max_cat_bytes", "10240"),
        ("max_probes", "1024"),
        ("on_stack_limit", "32"),
        ("str_trunc_trailer", ".."),
    ] {
        all.push((name.to_string(), other(name, default)));
    }
    all
}
