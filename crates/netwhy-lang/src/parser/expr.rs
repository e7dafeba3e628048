//! Expressions, with C's precedence.

use super::{Parser, node};
use crate::ast::{BinOp, Expr, ExprKind, StmtKind, TypeName, UnOp};
use crate::diag::{Diagnostic, Result};
use crate::lexer::Tok;

const INT_WORDS: [&str; 8] = ["unsigned", "signed", "long", "int", "short", "char", "const", "volatile"];
const INT_TYPES: [&str; 36] = [
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "int8",
    "int16",
    "int32",
    "int64",
    "bool",
    "void",
    "size_t",
    "uint8_t",
    "uint16_t",
    "uint32_t",
    "uint64_t",
    "int8_t",
    "int16_t",
    "int32_t",
    "int64_t",
    "u8",
    "u16",
    "u32",
    "u64",
    "s8",
    "s16",
    "s32",
    "s64",
    "__u8",
    "__u16",
    "__u32",
    "__u64",
    "__be16",
    "__be32",
    "__be64",
    "uintptr_t",
    "string",
];

/// Operators by how tightly they bind, loosest first.
fn binary(tok: &Tok) -> Option<(u8, BinOp)> {
    let Tok::Punct(p) = tok else { return None };
    Some(match *p {
        "||" => (1, BinOp::LOr),
        "&&" => (2, BinOp::LAnd),
        "|" => (3, BinOp::Or),
        "^" => (4, BinOp::Xor),
        "&" => (5, BinOp::And),
        "==" => (6, BinOp::Eq),
        "!=" => (6, BinOp::Ne),
        "<" => (7, BinOp::Lt),
        "<=" => (7, BinOp::Le),
        ">" => (7, BinOp::Gt),
        ">=" => (7, BinOp::Ge),
        "<<" => (8, BinOp::Shl),
        ">>" => (8, BinOp::Shr),
        "+" => (9, BinOp::Add),
        "-" => (9, BinOp::Sub),
        "*" => (10, BinOp::Mul),
        "/" => (10, BinOp::Div),
        "%" => (10, BinOp::Mod),
        _ => return None,
    })
}

impl Parser<'_> {
    pub(super) fn expr(&mut self) -> Result<Expr> {
        self.deeper(|p| {
            let cond = p.binary(1)?;
            if !p.accept("?")? {
                return Ok(cond);
            }
            let yes = p.expr()?;
            p.expect(":")?;
            let no = p.expr()?;
            let span = cond.span.to(no.span);
            Ok(node(span, ExprKind::Ternary(Box::new(cond), Box::new(yes), Box::new(no))))
        })
    }

    fn binary(&mut self, least: u8) -> Result<Expr> {
        let mut left = self.unary()?;
        let mut chain = 0;
        while let Some((level, op)) = binary(&self.cur.tok) {
            let ends = self.predicate && op == BinOp::Div && matches!(self.peek(), Tok::Punct("{"));
            if level < least || ends {
                break;
            }
            chain += 1;
            if chain > 100 {
                return Err(Diagnostic::error(self.cur.span, "too many operators in one expression"));
            }
            self.advance()?;
            let right = self.deeper(|p| p.binary(level + 1))?;
            let span = left.span.to(right.span);
            left = node(span, ExprKind::Binary(op, Box::new(left), Box::new(right)));
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expr> {
        let start = self.cur.span;
        if self.is_word("comptime") {
            self.advance()?;
            let inner = self.deeper(Self::unary)?;
            return Ok(node(start.to(inner.span), ExprKind::Comptime(Box::new(inner))));
        }
        let op = match self.cur.tok {
            Tok::Punct("-") => Some(UnOp::Neg),
            Tok::Punct("!") => Some(UnOp::Not),
            Tok::Punct("~") => Some(UnOp::Inv),
            Tok::Punct("*") => Some(UnOp::Deref),
            Tok::Punct("&") => Some(UnOp::Addr),
            Tok::Punct("++" | "--") => {
                let by = if self.is("++") { 1 } else { -1 };
                self.advance()?;
                let target = self.deeper(Self::unary)?;
                return step(target, true, by, start);
            }
            _ => None,
        };
        if let Some(op) = op {
            self.advance()?;
            let inner = self.deeper(Self::unary)?;
            return Ok(node(start.to(inner.span), ExprKind::Unary(op, Box::new(inner))));
        }
        let primary = self.primary()?;
        self.postfix(primary)
    }

    fn postfix(&mut self, mut left: Expr) -> Result<Expr> {
        for _ in 0..64 {
            let end = self.cur.span;
            if self.accept(".")? || self.accept("->")? {
                match self.cur.tok.clone() {
                    Tok::Ident(name) => {
                        let span = left.span.to(self.advance()?.span);
                        left = node(span, ExprKind::Field(Box::new(left), name));
                    }
                    Tok::Int(n) => {
                        let span = left.span.to(self.advance()?.span);
                        left = node(span, ExprKind::Nth(Box::new(left), n.min(1 << 16) as u32));
                    }
                    _ => return Err(self.unexpected("the name of a field")),
                }
            } else if self.accept("[")? {
                let index = self.nested()?;
                let span = left.span.to(self.expect("]")?);
                left = node(span, ExprKind::Index(Box::new(left), Box::new(index)));
            } else if self.is("++") || self.is("--") {
                let by = if self.is("++") { 1 } else { -1 };
                self.advance()?;
                return step(left, false, by, end);
            } else {
                return Ok(left);
            }
        }
        Err(Diagnostic::error(left.span, "too long a chain of fields"))
    }

    /// An expression in brackets: a slash divides here even inside a predicate.
    fn nested(&mut self) -> Result<Expr> {
        let predicate = std::mem::take(&mut self.predicate);
        let out = self.expr();
        self.predicate = predicate;
        out
    }

    fn list(&mut self, close: &str) -> Result<Vec<Expr>> {
        let mut out = Vec::new();
        while !self.is(close) {
            out.push(self.nested()?);
            if !self.accept(",")? {
                break;
            }
        }
        Ok(out)
    }

    fn primary(&mut self) -> Result<Expr> {
        let start = self.cur.span;
        match self.cur.tok.clone() {
            Tok::Int(n) => {
                self.advance()?;
                Ok(node(start, ExprKind::Int(n)))
            }
            Tok::Str(mut text) => {
                let mut span = self.advance()?.span;
                // Adjacent strings are one.
                while let Tok::Str(more) = self.cur.tok.clone() {
                    span = span.to(self.advance()?.span);
                    text += &more;
                }
                Ok(node(span, ExprKind::Str(text)))
            }
            Tok::Var(name) => {
                self.advance()?;
                Ok(node(start, ExprKind::Var(name)))
            }
            Tok::Param(n) => {
                self.advance()?;
                Ok(node(start, ExprKind::Param(n)))
            }
            Tok::ParamCount => {
                self.advance()?;
                Ok(node(start, ExprKind::ParamCount))
            }
            Tok::Map(name) => {
                self.advance()?;
                let mut key = None;
                let mut span = start;
                if self.accept("[")? {
                    let mut keys = self.list("]")?;
                    span = start.to(self.expect("]")?);
                    key = Some(Box::new(match keys.len() {
                        0 => return Err(Diagnostic::error(span, "expected a key")),
                        1 => keys.remove(0),
                        _ => node(span, ExprKind::Tuple(keys)),
                    }));
                }
                Ok(node(span, ExprKind::Map { name, key }))
            }
            Tok::Punct("(") => self.parens(),
            Tok::Punct("{") => self.braces(),
            Tok::Ident(name) => self.word(name),
            _ => Err(self.unexpected("an expression")),
        }
    }

    /// `if (c) { a } else { b }` as a value.
    fn choice(&mut self) -> Result<Expr> {
        let start = self.advance()?.span;
        let cond = self.expr()?;
        let yes = self.deeper(Self::braces)?;
        let no = match self.accept_word("else")? {
            true if self.is_word("if") => self.deeper(Self::choice)?,
            true => self.deeper(Self::braces)?,
            false => return Err(self.unexpected("`else`: a value is needed either way")),
        };
        let span = start.to(no.span);
        Ok(node(span, ExprKind::Ternary(Box::new(cond), Box::new(yes), Box::new(no))))
    }

    fn word(&mut self, name: String) -> Result<Expr> {
        if name == "if" {
            return self.choice();
        }
        let start = self.advance()?.span;
        // `filter "expression"`: on the packet of the probe.
        if let ("filter", Tok::Str(text)) = (name.as_str(), &self.cur.tok) {
            let text = node(self.cur.span, ExprKind::Str(text.clone()));
            let end = self.advance()?.span;
            return Ok(node(start.to(end), ExprKind::Call(name, vec![text])));
        }
        if !self.is("(") {
            return Ok(node(start, ExprKind::Ident(name)));
        }
        self.advance()?;
        if name == "container_of" {
            let member = self.nested()?;
            self.expect(",")?;
            let mut ty = self.type_name()?;
            self.expect(",")?;
            let mut path = vec![self.ident("the name of a field")?];
            while self.accept(".")? {
                path.push(self.ident("the name of a field")?);
            }
            let span = start.to(self.expect(")")?);
            let offset = node(span, ExprKind::Offsetof(ty.clone(), path));
            ty.pointers += 1;
            let number =
                TypeName { tag: String::new(), name: "uint64".into(), pointers: 0, dims: Vec::new(), span };
            let address = node(span, ExprKind::Cast(number, Box::new(member)));
            let outer = node(span, ExprKind::Binary(BinOp::Sub, Box::new(address), Box::new(offset)));
            return Ok(node(span, ExprKind::Cast(ty, Box::new(outer))));
        }
        if matches!(name.as_str(), "sizeof" | "offsetof") && self.at_type() {
            let ty = self.type_name()?;
            if name == "sizeof" {
                let end = self.expect(")")?;
                return Ok(node(start.to(end), ExprKind::SizeofType(ty)));
            }
            self.expect(",")?;
            let mut path = vec![self.ident("the name of a field")?];
            while self.accept(".")? {
                path.push(self.ident("the name of a field")?);
            }
            let end = self.expect(")")?;
            return Ok(node(start.to(end), ExprKind::Offsetof(ty, path)));
        }
        let args = self.list(")")?;
        let end = self.expect(")")?;
        Ok(node(start.to(end), ExprKind::Call(name, args)))
    }

    /// `(type)x`, `(a, b)`, `(a = 1)` or `(x)`.
    fn parens(&mut self) -> Result<Expr> {
        let start = self.advance()?.span;
        if self.at_cast() {
            let ty = self.type_name()?;
            self.expect(")")?;
            let inner = self.deeper(Self::unary)?;
            return Ok(node(start.to(inner.span), ExprKind::Cast(ty, Box::new(inner))));
        }
        if let (Tok::Ident(_), Tok::Punct("=")) = (&self.cur.tok, self.peek()) {
            let fields = self.fields(")", "=")?;
            let end = self.expect(")")?;
            return Ok(node(start.to(end), ExprKind::Record(fields)));
        }
        if self.is(")") {
            let end = self.advance()?.span;
            return Ok(node(start.to(end), ExprKind::Tuple(Vec::new())));
        }
        let first = self.nested()?;
        if self.is(",") {
            self.advance()?;
            let mut parts = vec![first];
            parts.extend(self.list(")")?);
            let end = self.expect(")")?;
            return Ok(node(start.to(end), ExprKind::Tuple(parts)));
        }
        self.expect(")")?;
        Ok(first)
    }

    fn fields(&mut self, close: &str, sign: &str) -> Result<Vec<(String, Expr)>> {
        let mut out = Vec::new();
        while !self.is(close) {
            let name = self.ident("the name of a field")?;
            self.expect(sign)?;
            out.push((name, self.nested()?));
            if !self.accept(",")? {
                break;
            }
        }
        Ok(out)
    }

    /// `{name: value}` is a record; anything else is statements whose last one is the value.
    fn braces(&mut self) -> Result<Expr> {
        let start = self.cur.span;
        if let Tok::Ident(_) = self.peek() {
            let saved = self.cur.clone();
            self.advance()?;
            let record = matches!(self.peek(), Tok::Punct(":"));
            if record {
                let fields = self.fields("}", ":")?;
                let end = self.expect("}")?;
                return Ok(node(start.to(end), ExprKind::Record(fields)));
            }
            self.cur = saved;
        }
        let mut block = self.block()?;
        let span = start.to(self.cur.span);
        match block.stmts.pop().map(|s| s.kind) {
            Some(crate::ast::StmtKind::Expr(value)) => {
                Ok(node(span, ExprKind::Block(block, Box::new(value))))
            }
            // `{ if (c) { a } else { b } }`: a choice at the end is the value.
            Some(crate::ast::StmtKind::If { cond, then, other }) if !other.stmts.is_empty() => {
                let value = chosen(span, cond, then, other);
                match value {
                    Some(value) => Ok(node(span, ExprKind::Block(block, Box::new(value)))),
                    None => {
                        Err(Diagnostic::error(start, "not every branch at the end of this block has a value"))
                    }
                }
            }
            _ => Err(Diagnostic::error(
                start,
                "this block has no value: its last statement is not an expression",
            )),
        }
    }

    fn at_type(&self) -> bool {
        match &self.cur.tok {
            Tok::Ident(w) => {
                matches!(w.as_str(), "struct" | "union" | "enum")
                    || INT_WORDS.contains(&w.as_str())
                    || INT_TYPES.contains(&w.as_str())
                    || w.ends_with("_t")
            }
            _ => false,
        }
    }

    /// After `(`: whether a cast follows. An unknown word is a type when `)` or stars and `)` follow and then an
    /// operand that cannot continue an expression.
    fn at_cast(&self) -> bool {
        if self.at_type() {
            return true;
        }
        if !matches!(self.cur.tok, Tok::Ident(_)) {
            return false;
        }
        let mut at = self.cur.span.end as usize;
        let mut stars = 0;
        while let Ok(token) = crate::lexer::next(self.src, at) {
            at = token.span.end as usize;
            match token.tok {
                Tok::Punct("*") => stars += 1,
                Tok::Punct(")") => {
                    let after = crate::lexer::next(self.src, at).map_or(Tok::End, |t| t.tok);
                    let operand = matches!(
                        after,
                        Tok::Ident(_)
                            | Tok::Var(_)
                            | Tok::Map(_)
                            | Tok::Int(_)
                            | Tok::Param(_)
                            | Tok::Punct("(")
                    );
                    return stars > 0 || operand;
                }
                _ => return false,
            }
        }
        false
    }

    pub(super) fn dims(&mut self) -> Result<Vec<u32>> {
        let mut dims = Vec::new();
        while self.accept("[")? {
            match self.cur.tok {
                Tok::Int(n) => {
                    dims.push(n.min(u64::from(u32::MAX)) as u32);
                    self.advance()?;
                }
                _ => dims.push(0),
            }
            self.expect("]")?;
        }
        Ok(dims)
    }

    pub(super) fn type_name(&mut self) -> Result<TypeName> {
        let span = self.cur.span;
        let mut tag = String::new();
        let mut words: Vec<String> = Vec::new();
        loop {
            match &self.cur.tok {
                Tok::Ident(w) if matches!(w.as_str(), "struct" | "union" | "enum") && words.is_empty() => {
                    tag = w.clone()
                }
                Tok::Ident(w) if matches!(w.as_str(), "const" | "volatile") => {}
                Tok::Ident(w) if INT_WORDS.contains(&w.as_str()) => words.push(w.clone()),
                Tok::Ident(w) if words.is_empty() => words.push(w.clone()),
                _ => break,
            }
            self.advance()?;
        }
        if words.is_empty() {
            return Err(self.unexpected("a type"));
        }
        let mut ty = TypeName { tag, name: words.join(" "), pointers: 0, dims: Vec::new(), span };
        while self.accept("*")? {
            ty.pointers += 1;
        }
        ty.dims = self.dims()?;
        ty.span = span.to(self.cur.span);
        Ok(ty)
    }
}

/// An `if` statement as a value, when all of its branches end in one.
pub(crate) fn chosen(
    span: crate::diag::Span,
    cond: Expr,
    then: crate::ast::Block,
    other: crate::ast::Block,
) -> Option<Expr> {
    let branch = |mut block: crate::ast::Block| {
        let value = match block.stmts.pop()?.kind {
            StmtKind::Expr(value) => value,
            StmtKind::If { cond, then, other } => chosen(span, cond, then, other)?,
            _ => return None,
        };
        Some(node(span, ExprKind::Block(block, Box::new(value))))
    };
    let (yes, no) = (branch(then)?, branch(other)?);
    Some(node(span, ExprKind::Ternary(Box::new(cond), Box::new(yes), Box::new(no))))
}

fn step(target: Expr, before: bool, by: i64, at: crate::diag::Span) -> Result<Expr> {
    if !matches!(target.kind, ExprKind::Var(_) | ExprKind::Map { .. }) {
        return Err(Diagnostic::error(target.span, "only variables and maps can be stepped"));
    }
    Ok(node(target.span.to(at), ExprKind::Step { before, by, target: Box::new(target) }))
}
