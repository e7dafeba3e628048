//! The syntax tree. Every expression has an id, given by the expansion pass once macros are gone; types are
//! kept beside the tree by id.

use crate::diag::Span;

/// A whole script.
#[derive(Debug, Clone, Default)]
pub struct Script {
    /// `config = { name = value; }`
    pub config: Vec<(String, String, Span)>,
    /// Probes in order.
    pub probes: Vec<Probe>,
    /// `macro name(params) { .. }`
    pub macros: Vec<Macro>,
    /// `let @name = kind(size);`
    pub maps: Vec<MapDecl>,
    /// `#define NAME expression`
    pub defines: Vec<(String, Expr)>,
    /// Structures and enums declared in the script.
    pub structs: Vec<StructDecl>,
    /// Enumerations declared in the script.
    pub enums: Vec<EnumDecl>,
}

/// Attach points, predicate, body.
#[derive(Debug, Clone)]
pub struct Probe {
    /// As written, wildcards included.
    pub points: Vec<Point>,
    /// Between slashes.
    pub predicate: Option<Expr>,
    /// Statements.
    pub body: Block,
}

/// An attach point as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// Text.
    pub text: String,
    /// Place.
    pub span: Span,
}

/// `macro name(params) { body }`
#[derive(Debug, Clone)]
pub struct Macro {
    /// Name.
    pub name: String,
    /// `$x`, `@x` or `x` with its sign.
    pub params: Vec<String>,
    /// Statements; the last expression is the value.
    pub body: Block,
    /// Place of the name.
    pub span: Span,
}

/// `let @name = kind(size);`
#[derive(Debug, Clone)]
pub struct MapDecl {
    /// Name without `@`.
    pub name: String,
    /// `hash`, `lruhash`, `percpuhash`, ...
    pub kind: String,
    /// Entries.
    pub entries: u64,
    /// Place.
    pub span: Span,
}

/// A structure declared in the script.
#[derive(Debug, Clone)]
pub struct StructDecl {
    /// Tag.
    pub name: String,
    /// Whether it is a union.
    pub union: bool,
    /// Members; an anonymous structure inside has an empty name.
    pub members: Vec<MemberDecl>,
}

/// A member of a structure declared in the script.
#[derive(Debug, Clone)]
pub struct MemberDecl {
    /// Type.
    pub ty: TypeName,
    /// Name.
    pub name: String,
    /// Width of a bit-field.
    pub bits: Option<u32>,
}

/// An enumeration declared in the script.
#[derive(Debug, Clone)]
pub struct EnumDecl {
    /// Tag, empty when anonymous.
    pub name: String,
    /// Enumerators and their values.
    pub values: Vec<(String, i64)>,
}

/// Statements in braces.
#[derive(Debug, Clone, Default)]
pub struct Block {
    /// In order.
    pub stmts: Vec<Stmt>,
}

/// A statement.
#[derive(Debug, Clone)]
pub struct Stmt {
    /// Place.
    pub span: Span,
    /// What it is.
    pub kind: StmtKind,
}

/// Kinds of statements.
#[derive(Debug, Clone)]
pub enum StmtKind {
    /// A call, `x++`.
    Expr(Expr),
    /// `target = value` or `target op= value`.
    Assign {
        /// Variable or map.
        target: Expr,
        /// Operator of a compound assignment.
        op: Option<BinOp>,
        /// Value.
        value: Expr,
    },
    /// `let $x: type = value`
    Let {
        /// Name without `$`.
        name: String,
        /// Type.
        ty: Option<TypeName>,
        /// Value.
        value: Option<Expr>,
    },
    /// `if`
    If {
        /// Condition.
        cond: Expr,
        /// When true.
        then: Block,
        /// When false.
        other: Block,
    },
    /// `while`
    While {
        /// Condition.
        cond: Expr,
        /// Statements.
        body: Block,
    },
    /// `for $x : from..to` (end excluded)
    Range {
        /// Name without `$`.
        name: String,
        /// First.
        from: Expr,
        /// After the last.
        to: Expr,
        /// Statements.
        body: Block,
    },
    /// `for $kv : @map`
    Each {
        /// Name without `$`.
        name: String,
        /// Name without `@`.
        map: String,
        /// Statements.
        body: Block,
    },
    /// `unroll (n)`
    Unroll {
        /// Times.
        count: Expr,
        /// Statements.
        body: Block,
    },
    /// `return`
    Return(Option<Expr>),
    /// `break`
    Break,
    /// `continue`
    Continue,
    /// `{ }`
    Block(Block),
}

/// An expression.
#[derive(Debug, Clone)]
pub struct Expr {
    /// Unique in a program after expansion.
    pub id: u32,
    /// Place.
    pub span: Span,
    /// What it is.
    pub kind: ExprKind,
}

/// Kinds of expressions.
#[derive(Debug, Clone)]
pub enum ExprKind {
    /// A number; whether it does not fit a signed one.
    Int(u64),
    /// A string, escapes replaced.
    Str(String),
    /// A builtin, an enumerator or a macro's parameter.
    Ident(String),
    /// `$x`
    Var(String),
    /// `@x` or `@x[key]`
    Map {
        /// Name without `@`.
        name: String,
        /// Key; several are a tuple.
        key: Option<Box<Expr>>,
    },
    /// `$1`
    Param(u32),
    /// `$#`
    ParamCount,
    /// `!x` and so on.
    Unary(UnOp, Box<Expr>),
    /// `a + b` and so on.
    Binary(BinOp, Box<Expr>, Box<Expr>),
    /// `a ? b : c`
    Ternary(Box<Expr>, Box<Expr>, Box<Expr>),
    /// `(type)x`
    Cast(TypeName, Box<Expr>),
    /// `x.name` or `x->name`
    Field(Box<Expr>, String),
    /// `x[i]`
    Index(Box<Expr>, Box<Expr>),
    /// `x.0`
    Nth(Box<Expr>, u32),
    /// `name(args)`
    Call(String, Vec<Expr>),
    /// `(a, b)`
    Tuple(Vec<Expr>),
    /// `(a = 1, b = 2)` or `{a: 1, b: 2}`
    Record(Vec<(String, Expr)>),
    /// `x++`, `--x`
    Step {
        /// Whether the value is that after the step.
        before: bool,
        /// 1 or -1.
        by: i64,
        /// Variable or map.
        target: Box<Expr>,
    },
    /// `sizeof(type)`
    SizeofType(TypeName),
    /// `offsetof(type, field.field)`
    Offsetof(TypeName, Vec<String>),
    /// `{ statements; value }`
    Block(Block, Box<Expr>),
    /// `comptime x`: known when compiling.
    Comptime(Box<Expr>),
}

/// A type as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeName {
    /// `struct`, `union`, `enum` or empty.
    pub tag: String,
    /// Name, words of C's integer types joined.
    pub name: String,
    /// Stars.
    pub pointers: u32,
    /// `[n]`
    pub dims: Vec<u32>,
    /// Place.
    pub span: Span,
}

/// Operators with one operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnOp {
    /// `-`
    Neg,
    /// `!`
    Not,
    /// `~`
    Inv,
    /// `*`
    Deref,
    /// `&`
    Addr,
}

/// Operators with two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum BinOp {
    Mul,
    Div,
    Mod,
    Add,
    Sub,
    Shl,
    Shr,
    Lt,
    Le,
    Gt,
    Ge,
    Eq,
    Ne,
    And,
    Xor,
    Or,
    LAnd,
    LOr,
}

impl BinOp {
    /// Whether the result is a truth value.
    pub fn compares(self) -> bool {
        matches!(self, Self::Lt | Self::Le | Self::Gt | Self::Ge | Self::Eq | Self::Ne)
    }
}
