//! What stands outside of probes, and attach points.

use super::Parser;
use crate::ast::{EnumDecl, Macro, MapDecl, MemberDecl, Point, Probe, Script, StructDecl, TypeName};
use crate::diag::{Diagnostic, Result, Span};
use crate::lexer::{self, Tok, Token};

impl Parser<'_> {
    pub(super) fn script(&mut self) -> Result<Script> {
        let mut script = Script::default();
        self.cur = lexer::next(self.src, 0)?;
        loop {
            match &self.cur.tok {
                Tok::End => break,
                Tok::Directive(text) => {
                    let text = text.clone();
                    self.directive(&text, &mut script)?;
                }
                Tok::Ident(word) => match (word.as_str(), self.peek()) {
                    ("config", Tok::Punct("=")) => self.config(&mut script)?,
                    ("macro", Tok::Ident(_)) => self.macro_def(&mut script)?,
                    ("import", Tok::Str(_)) => {
                        return Err(Diagnostic::error(self.cur.span, "`import` is not supported"));
                    }
                    ("let", Tok::Map(_)) => self.map_decl(&mut script)?,
                    ("struct" | "union", Tok::Ident(_)) => self.struct_decl(&mut script)?,
                    ("enum", _) => self.enum_decl(&mut script)?,
                    _ => script.probes.push(self.probe()?),
                },
                Tok::Punct(";") => {
                    self.advance()?;
                }
                Tok::Punct("*") | Tok::Param(_) => script.probes.push(self.probe()?),
                _ => return Err(self.unexpected("a probe")),
            }
        }
        Ok(script)
    }

    fn directive(&mut self, text: &str, script: &mut Script) -> Result<()> {
        let span = self.cur.span;
        let mut words = text.trim_start_matches('#').split_whitespace();
        match words.next() {
            Some("define") => {
                let name = words.next().unwrap_or_default().to_string();
                if let Some(at) = text.find(&name).filter(|_| !name.is_empty() && !name.contains('(')) {
                    let from = span.start as usize + at + name.len();
                    let to = span.end as usize;
                    if self.src.get(from..to).is_some_and(|t| !t.trim().is_empty()) {
                        let mut inner = Parser {
                            src: self.src.get(..to).unwrap_or(self.src),
                            cur: lexer::next(self.src, from)?,
                            depth: 0,
                            predicate: false,
                        };
                        script.defines.push((name, inner.expr()?));
                    }
                }
            }
            // Headers only declare types, which BTF has.
            Some("include" | "ifndef" | "ifdef" | "endif" | "pragma" | "if" | "else" | "undef") | None => {}
            // `#!` of a script.
            Some(w) if w.starts_with('!') => {}
            Some(w) => return Err(Diagnostic::error(span, format!("unknown directive `#{w}`"))),
        }
        self.advance()?;
        Ok(())
    }

    fn config(&mut self, script: &mut Script) -> Result<()> {
        self.advance()?;
        self.expect("=")?;
        self.expect("{")?;
        while !self.is("}") {
            if self.accept(";")? || self.accept(",")? {
                continue;
            }
            let span = self.cur.span;
            let name = self.ident("the name of a setting")?;
            self.expect("=")?;
            let value = match self.advance()?.tok {
                Tok::Ident(v) | Tok::Str(v) => v,
                Tok::Int(n) => n.to_string(),
                _ => return Err(Diagnostic::error(span, "expected a number, a word or a string as value")),
            };
            script.config.push((name, value, span));
        }
        self.expect("}")?;
        Ok(())
    }

    fn macro_def(&mut self, script: &mut Script) -> Result<()> {
        self.advance()?;
        let span = self.cur.span;
        let name = self.ident("the name of a macro")?;
        self.expect("(")?;
        let mut params = Vec::new();
        while !self.is(")") {
            params.push(match self.advance()?.tok {
                Tok::Ident(p) => p,
                Tok::Var(p) => format!("${p}"),
                Tok::Map(p) => format!("@{p}"),
                _ => {
                    return Err(Diagnostic::error(
                        span,
                        "a macro's parameters are names, `$names` or `@names`",
                    ));
                }
            });
            if !self.accept(",")? {
                break;
            }
        }
        self.expect(")")?;
        let body = self.block()?;
        script.macros.push(Macro { name, params, body, span });
        Ok(())
    }

    fn map_decl(&mut self, script: &mut Script) -> Result<()> {
        let span = self.advance()?.span;
        let Tok::Map(name) = self.advance()?.tok else { return Err(self.unexpected("a map")) };
        self.expect("=")?;
        let kind = self.ident("a kind of map such as `hash`")?;
        self.expect("(")?;
        let Tok::Int(entries) = self.advance()?.tok else {
            return Err(Diagnostic::error(span, "expected the number of entries"));
        };
        self.expect(")")?;
        self.accept(";")?;
        script.maps.push(MapDecl { name, kind, entries, span });
        Ok(())
    }

    fn struct_decl(&mut self, script: &mut Script) -> Result<()> {
        self.structure(script)?;
        self.accept(";")?;
        Ok(())
    }

    /// `struct NAME { .. }` or `struct { .. }`; its name, made up for one that has none.
    fn structure(&mut self, script: &mut Script) -> Result<TypeName> {
        let span = self.cur.span;
        let tag = self.ident("`struct` or `union`")?;
        let name = match &self.cur.tok {
            Tok::Ident(_) => self.ident("the name of a structure")?,
            // No name of a script begins with a digit.
            _ => format!("{}anonymous", script.structs.len()),
        };
        self.expect("{")?;
        let mut members = Vec::new();
        while !self.is("}") {
            let inline = matches!(&self.cur.tok, Tok::Ident(w) if w == "struct" || w == "union")
                && match self.peek() {
                    Tok::Punct(p) => p == "{",
                    Tok::Ident(_) => self.brace_after_name(),
                    _ => false,
                };
            let base = if inline { self.deeper(|p| p.structure(script))? } else { self.type_name()? };
            if inline && self.is(";") {
                members.push(MemberDecl { ty: base.clone(), name: String::new(), bits: None });
            }
            while !self.is(";") && !self.is("}") {
                let mut ty = base.clone();
                while self.accept("*")? {
                    ty.pointers += 1;
                }
                let name = if self.is(":") { String::new() } else { self.ident("the name of a member")? };
                ty.dims.extend(self.dims()?);
                let mut bits = None;
                if self.accept(":")? {
                    let Tok::Int(n @ 0..=64) = self.cur.tok else {
                        return Err(self.unexpected("a number of bits"));
                    };
                    self.advance()?;
                    bits = Some(n as u32);
                }
                members.push(MemberDecl { ty, name, bits });
                if !self.accept(",")? {
                    break;
                }
            }
            if !self.is("}") {
                self.expect(";")?;
            }
        }
        self.expect("}")?;
        script.structs.push(StructDecl { name: name.clone(), union: tag == "union", members });
        Ok(TypeName { tag, name, pointers: 0, dims: Vec::new(), span })
    }

    /// At `struct`, before a name: whether a brace follows the name.
    fn brace_after_name(&self) -> bool {
        let name = lexer::next(self.src, self.cur.span.end as usize);
        name.and_then(|name| lexer::next(self.src, name.span.end as usize))
            .is_ok_and(|after| after.tok == Tok::Punct("{"))
    }

    fn enum_decl(&mut self, script: &mut Script) -> Result<()> {
        self.advance()?;
        let mut decl = EnumDecl { name: String::new(), values: Vec::new() };
        if let Tok::Ident(name) = &self.cur.tok {
            decl.name = name.clone();
            self.advance()?;
        }
        self.expect("{")?;
        let mut value = 0i64;
        while !self.is("}") {
            let name = self.ident("an enumerator")?;
            if self.accept("=")? {
                let minus = self.accept("-")?;
                let Tok::Int(n) = self.advance()?.tok else { return Err(self.unexpected("a number")) };
                value = if minus { (n as i64).wrapping_neg() } else { n as i64 };
            }
            decl.values.push((name, value));
            value = value.wrapping_add(1);
            if !self.accept(",")? {
                break;
            }
        }
        self.expect("}")?;
        self.accept(";")?;
        script.enums.push(decl);
        Ok(())
    }

    fn probe(&mut self) -> Result<Probe> {
        let mut points = Vec::new();
        loop {
            points.push(self.point()?);
            if !self.accept(",")? {
                break;
            }
            if self.is("{") {
                break;
            }
        }
        let mut predicate = None;
        if self.accept("/")? {
            self.predicate = true;
            predicate = Some(self.expr()?);
            self.predicate = false;
            if !self.is("/") {
                return Err(self.unexpected("`/` at the end of the predicate"));
            }
            self.advance()?;
        }
        if !self.is("{") {
            let wanted = if predicate.is_some() { "`{`" } else { "`{`, `/` or `,` after the probe" };
            return Err(self.unexpected(wanted));
        }
        let body = self.block()?;
        Ok(Probe { points, predicate, body })
    }

    /// An attach point is text up to a blank, a comma or a brace; a slash belongs to it only in the path of a file.
    fn point(&mut self) -> Result<Point> {
        let start = self.cur.span.start as usize;
        let rest = self.src.get(start..).unwrap_or("");
        let provider = rest.split(':').next().unwrap_or("").trim();
        let has_path = matches!(
            provider,
            "uprobe" | "u" | "uretprobe" | "ur" | "usdt" | "U" | "watchpoint" | "w" | "asyncwatchpoint"
        );
        let mut quoted = false;
        let mut colons = 0;
        let mut bracket = 0u32;
        let mut end = rest.len();
        for (i, c) in rest.char_indices() {
            match c {
                '"' => quoted = !quoted,
                _ if quoted => {}
                ':' => colons += 1,
                '[' => bracket += 1,
                ']' => bracket = bracket.saturating_sub(1),
                '/' if has_path && colons == 1 => {}
                '{' | '}' | '/' | ';' => {
                    end = i;
                    break;
                }
                ',' if bracket == 0 => {
                    end = i;
                    break;
                }
                c if c.is_whitespace() => {
                    end = i;
                    break;
                }
                _ => {}
            }
        }
        let span = Span { start: start as u32, end: (start + end) as u32 };
        if end == 0 {
            return Err(self.unexpected("a probe"));
        }
        let text: String = rest[..end].chars().filter(|c| *c != '"').collect();
        self.cur = Token { tok: Tok::End, span };
        self.advance()?;
        Ok(Point { text, span })
    }
}
