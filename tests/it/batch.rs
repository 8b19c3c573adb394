//! Natural batching when the deciding goes wrong.

use diesel::PgConnection;
use latchkey::batch::{Batch, Decide};
use latchkey::db::Db;
use latchkey::error::{Error, Result};

use crate::support::TestDb;

/// Doubles numbers, and has a defect.
struct Doubler;

impl Decide for Doubler {
    type Ask = i32;
    type Answer = i32;

    fn decide(&self, _: &mut PgConnection, asks: &[i32]) -> Result<Vec<i32>> {
        assert!(!asks.contains(&13), "thirteen");
        Ok(asks.iter().map(|ask| ask * 2).collect())
    }
}

#[actix_web::test]
async fn a_panic_fails_its_batch_and_not_the_stage() {
    let database = TestDb::new();
    let (batch, threads) = Batch::start("doubler", &Db::new(database.url(), 1), 1, Doubler, |_| {}).unwrap();
    assert_eq!(batch.ask(2).await.unwrap(), 4);
    for _ in 0..2 {
        let told = batch.ask(13).await;
        assert!(matches!(told, Err(Error::Internal(_))), "{told:?}");
        assert_eq!(batch.ask(3).await.unwrap(), 6);
    }
    drop(threads);
}
