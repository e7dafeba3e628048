//! Tokens to tree, by recursive descent. Attach points are read as text: their grammar is not the language's.

mod expr;
mod stmt;
mod toplevel;

pub(crate) use expr::chosen;

use crate::ast::{Block, Expr, ExprKind, Script};
use crate::diag::{Diagnostic, Result, Span};
use crate::lexer::{self, Tok, Token};

/// How deep expressions and blocks may nest.
const DEPTH: u32 = 64;

/// Parses a script.
pub fn parse(src: &str) -> Result<Script> {
    if src.len() > 4 << 20 {
        return Err(Diagnostic::error(Span::default(), "a script may have at most 4 MiB"));
    }
    let mut parser =
        Parser { src, cur: Token { tok: Tok::End, span: Span::default() }, depth: 0, predicate: false };
    parser.script()
}

pub(crate) struct Parser<'a> {
    src: &'a str,
    cur: Token,
    depth: u32,
    /// Inside `/ /`, where a slash before `{` ends the predicate.
    predicate: bool,
}

impl Parser<'_> {
    fn advance(&mut self) -> Result<Token> {
        let next = lexer::next(self.src, self.cur.span.end as usize)?;
        Ok(std::mem::replace(&mut self.cur, next))
    }

    /// The token after the current one.
    fn peek(&self) -> Tok {
        lexer::next(self.src, self.cur.span.end as usize).map_or(Tok::End, |t| t.tok)
    }

    fn is(&self, punct: &str) -> bool {
        matches!(self.cur.tok, Tok::Punct(p) if p == punct)
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(&self.cur.tok, Tok::Ident(w) if w == word)
    }

    fn accept(&mut self, punct: &str) -> Result<bool> {
        let found = self.is(punct);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn accept_word(&mut self, word: &str) -> Result<bool> {
        let found = self.is_word(word);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn expect(&mut self, punct: &str) -> Result<Span> {
        if self.is(punct) {
            return Ok(self.advance()?.span);
        }
        Err(self.unexpected(&format!("`{punct}`")))
    }

    fn ident(&mut self, what: &str) -> Result<String> {
        match &self.cur.tok {
            Tok::Ident(name) => {
                let name = name.clone();
                self.advance()?;
                Ok(name)
            }
            _ => Err(self.unexpected(what)),
        }
    }

    fn unexpected(&self, wanted: &str) -> Diagnostic {
        let got = match self.cur.tok {
            Tok::End => "the end of the script".to_string(),
            _ => {
                let text =
                    self.src.get(self.cur.span.start as usize..self.cur.span.end as usize).unwrap_or("");
                format!("`{}`", text.chars().take(40).collect::<String>())
            }
        };
        Diagnostic::error(self.cur.span, format!("expected {wanted}, found {got}"))
    }

    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= DEPTH {
            return Err(Diagnostic::error(self.cur.span, "too deeply nested"));
        }
        self.depth += 1;
        let out = parse(self);
        self.depth -= 1;
        out
    }

    fn block(&mut self) -> Result<Block> {
        self.expect("{")?;
        let predicate = std::mem::take(&mut self.predicate);
        let block = self.deeper(|p| {
            let mut stmts = Vec::new();
            while !p.is("}") {
                if p.accept(";")? {
                    continue;
                }
                stmts.push(p.stmt()?);
            }
            Ok(Block { stmts })
        })?;
        self.predicate = predicate;
        self.expect("}")?;
        Ok(block)
    }
}

/// An expression without an id yet.
pub(crate) fn node(span: Span, kind: ExprKind) -> Expr {
    Expr { id: 0, span, kind }
}
