//! Statements.

use super::Parser;
use crate::ast::{BinOp, Block, ExprKind, Stmt, StmtKind};
use crate::diag::{Diagnostic, Result};
use crate::lexer::Tok;

impl Parser<'_> {
    pub(super) fn stmt(&mut self) -> Result<Stmt> {
        let start = self.cur.span;
        let kind = self.deeper(Self::stmt_kind)?;
        // Braced statements need no semicolon; the last statement of a block needs none either.
        let braced = matches!(
            kind,
            StmtKind::If { .. }
                | StmtKind::While { .. }
                | StmtKind::Range { .. }
                | StmtKind::Each { .. }
                | StmtKind::Unroll { .. }
                | StmtKind::Block(_)
        );
        let span =
            start.to(crate::diag::Span { start: start.start, end: self.cur.span.start.max(start.end) });
        if !self.accept(";")? && !braced && !self.is("}") {
            return Err(self.unexpected("`;`"));
        }
        Ok(Stmt { span, kind })
    }

    fn stmt_kind(&mut self) -> Result<StmtKind> {
        if self.is("{") {
            return Ok(StmtKind::Block(self.block()?));
        }
        let word = match &self.cur.tok {
            Tok::Ident(word) => word.clone(),
            _ => String::new(),
        };
        match word.as_str() {
            "if" => return self.if_stmt(),
            "while" => {
                self.advance()?;
                let cond = self.expr()?;
                return Ok(StmtKind::While { cond, body: self.block()? });
            }
            "for" => return self.for_stmt(),
            "unroll" => {
                self.advance()?;
                let count = self.expr()?;
                return Ok(StmtKind::Unroll { count, body: self.block()? });
            }
            "return" => {
                self.advance()?;
                let value = if self.is(";") || self.is("}") { None } else { Some(self.expr()?) };
                return Ok(StmtKind::Return(value));
            }
            "break" => {
                self.advance()?;
                return Ok(StmtKind::Break);
            }
            "continue" => {
                self.advance()?;
                return Ok(StmtKind::Continue);
            }
            "let" => return self.let_stmt(),
            _ => {}
        }
        if word == "_" && matches!(self.peek(), Tok::Punct("=")) {
            self.advance()?;
            self.advance()?;
            return Ok(StmtKind::Expr(self.expr()?));
        }
        let target = self.expr()?;
        let op = match self.cur.tok {
            Tok::Punct("=") => None,
            Tok::Punct("+=") => Some(BinOp::Add),
            Tok::Punct("-=") => Some(BinOp::Sub),
            Tok::Punct("*=") => Some(BinOp::Mul),
            Tok::Punct("/=") => Some(BinOp::Div),
            Tok::Punct("%=") => Some(BinOp::Mod),
            Tok::Punct("&=") => Some(BinOp::And),
            Tok::Punct("|=") => Some(BinOp::Or),
            Tok::Punct("^=") => Some(BinOp::Xor),
            Tok::Punct("<<=") => Some(BinOp::Shl),
            Tok::Punct(">>=") => Some(BinOp::Shr),
            _ => return Ok(StmtKind::Expr(target)),
        };
        if !matches!(target.kind, ExprKind::Var(_) | ExprKind::Map { .. }) {
            return Err(Diagnostic::error(target.span, "only variables and maps can be assigned to"));
        }
        self.advance()?;
        let value = self.expr()?;
        Ok(StmtKind::Assign { target, op, value })
    }

    fn let_stmt(&mut self) -> Result<StmtKind> {
        self.advance()?;
        let Tok::Var(name) = self.cur.tok.clone() else { return Err(self.unexpected("a variable")) };
        self.advance()?;
        let ty = if self.accept(":")? { Some(self.type_name()?) } else { None };
        let value = if self.accept("=")? { Some(self.expr()?) } else { None };
        Ok(StmtKind::Let { name, ty, value })
    }

    fn if_stmt(&mut self) -> Result<StmtKind> {
        self.advance()?;
        let cond = self.expr()?;
        let then = self.block()?;
        let mut other = Block::default();
        if self.accept_word("else")? {
            if self.is_word("if") {
                let span = self.cur.span;
                let kind = self.deeper(Self::if_stmt)?;
                other.stmts.push(Stmt { span, kind });
            } else {
                other = self.block()?;
            }
        }
        Ok(StmtKind::If { cond, then, other })
    }

    fn for_stmt(&mut self) -> Result<StmtKind> {
        self.advance()?;
        let parens = self.accept("(")?;
        let Tok::Var(name) = self.cur.tok.clone() else { return Err(self.unexpected("a variable")) };
        self.advance()?;
        self.expect(":")?;
        if let (Tok::Map(map), false) = (self.cur.tok.clone(), matches!(self.peek(), Tok::Punct("["))) {
            self.advance()?;
            if parens {
                self.expect(")")?;
            }
            return Ok(StmtKind::Each { name, map, body: self.block()? });
        }
        let from = self.expr()?;
        self.expect("..")?;
        let to = self.expr()?;
        if parens {
            self.expect(")")?;
        }
        Ok(StmtKind::Range { name, from, to, body: self.block()? })
    }
}
