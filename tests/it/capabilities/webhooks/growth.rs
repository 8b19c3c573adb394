//! Tables that grow faster than PostgreSQL looks at them: what a statement touches follows what it is asked for, and not how much
//! else there is.

use std::time::{Duration, Instant};

use diesel::sql_types::BigInt;
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, sql_query};
use latchkey::batch::Decide;
use latchkey::webhooks::retry::Verdict;
use latchkey::webhooks::{Claim, Claimed, Outcome, Record};

use super::{Hooked, SOON, everywhere, outcome};
use crate::support::backlog;

const FEW: i32 = 5;
const MANY: i32 = 30_000;

/// What was read: pages of tables and indexes, and rows and entries in them.
#[derive(QueryableByName, Debug, Clone, Copy)]
struct Touched {
    #[diesel(sql_type = BigInt)]
    pages: i64,
    #[diesel(sql_type = BigInt)]
    rows: i64,
}

const TOUCHED: &str =
    "SELECT sum(pg_stat_get_xact_blocks_fetched(oid))::int8 AS pages, sum(pg_stat_get_xact_tuples_returned(oid))::int8 AS rows
    FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i')";

/// What `work` touches. Counted within one transaction, so that the counters aren't sent off in between.
fn touched<T>(conn: &mut PgConnection, work: impl FnOnce(&mut PgConnection) -> T) -> (T, Touched) {
    conn.transaction::<_, diesel::result::Error, _>(|conn| {
        let before: Touched = sql_query(TOUCHED).get_result(conn)?;
        let done = work(conn);
        let after: Touched = sql_query(TOUCHED).get_result(conn)?;
        Ok((done, Touched { pages: after.pages - before.pages, rows: after.rows - before.rows }))
    })
    .unwrap()
}

/// A sender's two connections, prepared as its threads prepare them, with what they keep of plans.
struct Sender {
    claim: (Claim, PgConnection),
    record: (Record, PgConnection),
}

impl Sender {
    fn new(hooked: &Hooked) -> Self {
        let (claim, record) = (Claim::default(), Record::default());
        let [mut to_claim, mut to_record] = [hooked.world.database.conn(), hooked.world.database.conn()];
        claim.connected(&mut to_claim).unwrap();
        record.connected(&mut to_record).unwrap();
        Self { claim: (claim, to_claim), record: (record, to_record) }
    }

    fn claim(&mut self) -> (Vec<Claimed>, Touched) {
        let (claim, conn) = &mut self.claim;
        touched(conn, |conn| claim.decide(conn, &[everywhere(512, Vec::new())]).unwrap().remove(0).lanes)
    }

    /// Claims lanes and tells what came of them: how many, and what the two touched.
    fn turn(&mut self) -> (usize, [Touched; 2]) {
        let (claimed, to_claim) = self.claim();
        let to_record = self.record(&claimed);
        (claimed.len(), [to_claim, to_record])
    }

    /// Most delivered, some of them not.
    fn record(&mut self, claimed: &[Claimed]) -> Touched {
        let (record, conn) = &mut self.record;
        let outcomes: Vec<Outcome> = claimed
            .iter()
            .enumerate()
            .map(|(place, claimed)| match place % 5 {
                4 => outcome(claimed, Some(500), SOON),
                _ => outcome(claimed, Some(200), Verdict::Delivered),
            })
            .collect();
        touched(conn, |conn| record.decide(conn, &outcomes).unwrap()).1
    }
}

#[test]
fn claims_and_outcomes_touch_no_more_after_fast_growth() {
    let mut hooked = Hooked::new();
    let organization = hooked.world.organization;
    let conn = &mut hooked.world.conn;
    for table in ["events", "deliveries", "delivery_lanes", "delivery_attempts", "delivery_minutes"] {
        // Nobody looks at them meanwhile.
        sql_query(format!("ALTER TABLE {table} SET (autovacuum_enabled = false)")).execute(conn).unwrap();
    }
    backlog(conn, organization, FEW);
    sql_query("ANALYZE").execute(conn).unwrap();
    let mut early = Sender::new(&hooked);
    assert_eq!(early.turn().0, FEW as usize);
    backlog(&mut hooked.world.conn, organization, MANY);
    // Who plans now does it by what PostgreSQL believes of the tables: that they are short.
    for _ in 0..3 {
        let (lanes, touched) = Sender::new(&hooked).turn();
        assert!(lanes > 100 && is_little(lanes, &touched), "{touched:?} for {lanes} of {MANY} lanes");
    }
    // Whose plans are from before may read a table through with them, but not once a lane; and soon has others.
    let begun = Instant::now();
    loop {
        let (lanes, touched) = early.turn();
        if is_little(lanes, &touched) {
            break;
        }
        for touched in touched {
            assert!(touched.rows < 4 * i64::from(MANY), "{touched:?} for {lanes} of {MANY} lanes");
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "old plans are still in use, and touch {touched:?} for {lanes} lanes");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// As much as belongs to these lanes.
fn is_little(lanes: usize, touched: &[Touched]) -> bool {
    let lanes = lanes as i64;
    touched.iter().all(|touched| touched.rows < 20 * lanes && touched.pages < 80 * lanes)
}
