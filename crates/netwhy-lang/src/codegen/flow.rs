//! `flow()`: addresses, ports, protocol and namespace of a packet or socket.

use super::{Gen, Mem};
use crate::ast::Expr;
use crate::diag::{Diagnostic, Result};

impl Gen<'_, '_> {
    pub(super) fn flow(&mut self, e: &Expr, mem: Mem) -> Result<()> {
        let _ = mem;
        Err(Diagnostic::error(e.span, "`flow()` is not supported yet"))
    }
}
