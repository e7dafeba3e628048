//! Variables get unique names: a variable lives from its first assignment to the end of the block around it.

use std::collections::BTreeMap;

use super::expand::Unit;
use super::walk;
use crate::ast::{Block, Expr, ExprKind, Stmt, StmtKind};
use crate::diag::{Diagnostic, Result};

/// What is known of a variable before types.
#[derive(Debug, Clone, Default)]
pub struct Var {
    /// How often it is assigned; a pointer assigned once keeps its provenance.
    pub assigned: u32,
}

/// Variables of a unit by unique name.
pub type Vars = BTreeMap<String, Var>;

struct Names {
    scopes: Vec<BTreeMap<String, String>>,
    vars: Vars,
    next: u32,
}

/// Renames all variables of a unit.
pub fn resolve(unit: &mut Unit) -> Result<Vars> {
    let mut names = Names { scopes: vec![BTreeMap::new()], vars: Vars::new(), next: 0 };
    if let Some(predicate) = &mut unit.predicate {
        names.expr(predicate)?;
    }
    names.block(&mut unit.body, 0)?;
    Ok(names.vars)
}

impl Names {
    fn find(&self, name: &str) -> Option<&String> {
        self.scopes.iter().rev().find_map(|s| s.get(name))
    }

    fn declare(&mut self, name: &str) -> String {
        let unique = format!("{name}#{}", self.next);
        self.next += 1;
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(name.to_string(), unique.clone());
        }
        self.vars.insert(unique.clone(), Var::default());
        unique
    }

    fn assign(&mut self, unique: &str) {
        if let Some(var) = self.vars.get_mut(unique) {
            var.assigned += 1;
        }
    }

    fn block(&mut self, block: &mut Block, loops: u32) -> Result<()> {
        self.scopes.push(BTreeMap::new());
        for stmt in &mut block.stmts {
            self.stmt(stmt, loops)?;
        }
        self.scopes.pop();
        Ok(())
    }

    fn stmt(&mut self, stmt: &mut Stmt, loops: u32) -> Result<()> {
        let span = stmt.span;
        match &mut stmt.kind {
            StmtKind::Expr(e) | StmtKind::Return(Some(e)) => self.expr(e),
            StmtKind::Return(None) => Ok(()),
            StmtKind::Assign { target, op, value } => {
                self.expr(value)?;
                if let (ExprKind::Var(name), None) = (&mut target.kind, &op) {
                    let unique = match self.find(name) {
                        Some(unique) => unique.clone(),
                        None => self.declare(name),
                    };
                    self.assign(&unique);
                    *name = unique;
                    return Ok(());
                }
                self.expr(target)?;
                if let ExprKind::Var(name) = &target.kind {
                    let name = name.clone();
                    self.assign(&name);
                }
                Ok(())
            }
            StmtKind::Let { name, value, .. } => {
                if let Some(value) = value {
                    self.expr(value)?;
                }
                let unique = self.declare(name);
                self.assign(&unique);
                *name = unique;
                Ok(())
            }
            StmtKind::If { cond, then, other } => {
                self.expr(cond)?;
                self.block(then, loops)?;
                self.block(other, loops)
            }
            StmtKind::While { cond, body } => {
                self.expr(cond)?;
                self.block(body, loops + 1)
            }
            StmtKind::Unroll { count, body } => {
                self.expr(count)?;
                self.block(body, loops + 1)
            }
            StmtKind::Range { name, from, to, body } => {
                self.expr(from)?;
                self.expr(to)?;
                self.looped(name, body, loops)
            }
            StmtKind::Each { name, body, .. } => self.looped(name, body, loops),
            StmtKind::Break | StmtKind::Continue if loops == 0 => {
                Err(Diagnostic::error(span, "`break` and `continue` belong inside a loop"))
            }
            StmtKind::Break | StmtKind::Continue => Ok(()),
            StmtKind::Block(body) => self.block(body, loops),
        }
    }

    fn looped(&mut self, name: &mut String, body: &mut Block, loops: u32) -> Result<()> {
        self.scopes.push(BTreeMap::new());
        *name = self.declare(name);
        // Assigned by the loop and changed by it: two assignments, so nothing is assumed of it.
        let unique = name.clone();
        self.assign(&unique);
        self.assign(&unique);
        self.block(body, loops + 1)?;
        self.scopes.pop();
        Ok(())
    }

    fn expr(&mut self, e: &mut Expr) -> Result<()> {
        match &mut e.kind {
            ExprKind::Var(name) => match self.find(name) {
                Some(unique) => {
                    *name = unique.clone();
                    Ok(())
                }
                None => {
                    let shown = name.split('~').next().unwrap_or(name).to_string();
                    let known: Vec<&str> =
                        self.scopes.iter().flat_map(|s| s.keys()).map(String::as_str).collect();
                    Err(Diagnostic::error(e.span, format!("Undefined or undeclared variable: ${shown}"))
                        .nearest(&shown, known))
                }
            },
            ExprKind::Step { target, .. } => {
                self.expr(target)?;
                if let ExprKind::Var(name) = &target.kind {
                    let name = name.clone();
                    self.assign(&name);
                }
                Ok(())
            }
            ExprKind::Block(block, value) => {
                self.scopes.push(BTreeMap::new());
                for stmt in &mut block.stmts {
                    self.stmt(stmt, 0)?;
                }
                self.expr(value)?;
                self.scopes.pop();
                Ok(())
            }
            _ => {
                let mut below: Vec<&mut Expr> = Vec::new();
                walk::parts(e, &mut |x| below.push(x), &mut |_| {});
                for x in below {
                    self.expr(x)?;
                }
                Ok(())
            }
        }
    }
}
