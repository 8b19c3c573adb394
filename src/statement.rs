//! A constant SQL text with values bound, prepared once a connection: `sql_query` would be planned anew each time.

/// Declares a struct of values and the text that they are bound to, each where the next `{}` stands. `Row` is the SQL type of
/// what it returns; `()` for a text that returns nothing.
macro_rules! statement {
    ($(#[$doc:meta])* $name:ident<$life:lifetime> -> $row:ty = $text:expr; $($field:ident: $value:ty as $sql:ty,)*) => {
        $(#[$doc])*
        struct $name<$life> {
            $($field: $value,)*
            _life: std::marker::PhantomData<&$life ()>,
        }

        impl diesel::query_builder::QueryId for $name<'_> {
            type QueryId = $name<'static>;
            const HAS_STATIC_QUERY_ID: bool = true;
        }

        impl diesel::query_builder::Query for $name<'_> {
            type SqlType = $row;
        }

        impl diesel::RunQueryDsl<diesel::pg::PgConnection> for $name<'_> {}

        impl diesel::query_builder::QueryFragment<diesel::pg::Pg> for $name<'_> {
            fn walk_ast<'b>(
                &'b self, mut out: diesel::query_builder::AstPass<'_, 'b, diesel::pg::Pg>,
            ) -> diesel::QueryResult<()> {
                let mut parts = $text.split("{}");
                $(
                    out.push_sql(parts.next().unwrap_or_default());
                    out.push_bind_param::<$sql, _>(&self.$field)?;
                )*
                out.push_sql(parts.next().unwrap_or_default());
                Ok(())
            }
        }
    };
}

pub(crate) use statement;

/// A batch by columns, since a statement with arrays has one text for every size.
pub(crate) fn column<'a, R, T>(rows: &'a [R], field: impl Fn(&'a R) -> T) -> Vec<T> {
    rows.iter().map(field).collect()
}

/// For LIKE, whose characters that stand for others are told to stand for themselves.
pub(crate) fn literal(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}
