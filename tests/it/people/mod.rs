//! People, their sessions and the frame around their pages.

mod account;
mod assets;
mod edge;
mod guard;
mod guesses;
mod invitations;
mod joining;
mod joining_page;
mod members;
mod members_page;
mod orgs;
mod password_links;
mod proof;
mod sessions;
mod sign_in;
mod throttle;
mod two_factor;

use diesel::sql_types::{BigInt, Text};
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query};

/// Name of the session's cookie where the public URL is http.
const COOKIE: &str = "latchkey";

/// How many rows a `FROM …` clause finds.
fn count(conn: &mut PgConnection, from: &str) -> i64 {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        n: i64,
    }
    sql_query(format!("SELECT count(*) AS n FROM {from}")).get_result::<Row>(conn).unwrap().n
}

/// Actions of the deployment's own audit chain, in order.
fn audited(conn: &mut PgConnection) -> Vec<String> {
    audited_in(conn, uuid::Uuid::nil())
}

/// Actions of one chain, in order.
fn audited_in(conn: &mut PgConnection, chain: uuid::Uuid) -> Vec<String> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        action: String,
    }
    let query = format!("SELECT action FROM audit_entries WHERE chain = '{chain}' ORDER BY sequence");
    sql_query(query).load::<Row>(conn).unwrap().into_iter().map(|row| row.action).collect()
}
