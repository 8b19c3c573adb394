//! Who says where a name leads.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::watch;

/// Who says where a name leads. Nobody here believes it: every address is checked before it is connected to.
#[derive(Clone, Default)]
pub enum Resolver {
    /// The operating system: hosts file, DNS, whatever it is set up to ask.
    #[default]
    System,
    /// A function of the name; none never answers.
    Fixed(Arc<Answers>),
}

/// A name's addresses.
pub type Answers = dyn Fn(&str) -> Option<Vec<IpAddr>> + Send + Sync;

impl Resolver {
    /// The name's addresses in the order in which they are to be tried, each once.
    async fn look_up(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let mut addresses: Vec<IpAddr> = match self {
            // Their scope, which only link-local addresses have, is lost on purpose.
            Self::System => tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect(),
            Self::Fixed(answer) => match answer(name) {
                Some(addresses) => addresses,
                None => std::future::pending().await,
            },
        };
        let mut seen = std::collections::HashSet::new();
        addresses.retain(|address| seen.insert(*address));
        Ok(addresses)
    }
}

/// A name's addresses, or why there are none; nothing while the look-up is under way.
type Found = Option<Result<Vec<IpAddr>, String>>;

/// Look-ups under way, one a name, shared by all who ask for it. Each of the operating system's holds a thread until it ends,
/// which may be long after everybody has stopped waiting: an endpoint whose name servers are silent holds one thread, however
/// many deliveries it has.
pub(super) struct LookUps {
    resolver: Resolver,
    under_way: RefCell<HashMap<String, watch::Receiver<Found>>>,
}

impl LookUps {
    pub(super) fn new(resolver: Resolver) -> Rc<Self> {
        Rc::new(Self { resolver, under_way: RefCell::default() })
    }

    /// How many there are.
    pub(super) fn under_way(&self) -> usize {
        self.under_way.borrow().len()
    }

    /// The name's addresses, or why there are none.
    pub(super) async fn find(self: &Rc<Self>, name: &str) -> Result<Vec<IpAddr>, String> {
        let known = self.under_way.borrow().get(name).cloned();
        let mut found = known.unwrap_or_else(|| self.begin(name));
        let found = found.wait_for(Option::is_some).await;
        found.ok().and_then(|found| found.clone()).unwrap_or_else(|| Err("the look-up was broken off".into()))
    }

    fn begin(self: &Rc<Self>, name: &str) -> watch::Receiver<Found> {
        let (tell, found) = watch::channel(None);
        self.under_way.borrow_mut().insert(name.to_owned(), found.clone());
        let (all, name) = (Rc::clone(self), name.to_owned());
        tokio::task::spawn_local(async move {
            let result = all.resolver.look_up(&name).await;
            all.under_way.borrow_mut().remove(&name);
            // Nobody listens any more when it took too long.
            let _ = tell.send(Some(result.map_err(|error| error.to_string())));
        });
        found
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[actix_web::test]
    async fn a_name_is_looked_up_once_for_all_who_wait_for_it() {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let answers = move |name: &str| {
            count.fetch_add(1, Ordering::Relaxed);
            (name != "silent.example").then(|| vec![IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 1])])
        };
        let names = LookUps::new(Resolver::Fixed(Arc::new(answers)));
        let all = futures_util::future::join_all((0..100).map(|_| names.find("a.example"))).await;
        assert!(all.iter().all(|found| found.as_ref().is_ok_and(|found| found.len() == 1)), "{all:?}");
        assert_eq!((asked.load(Ordering::Relaxed), names.under_way()), (1, 0));
        // What was true a moment ago need not be true now.
        assert!(names.find("a.example").await.is_ok());
        assert_eq!(asked.load(Ordering::Relaxed), 2);
        // One that never answers is asked once, and holds up nobody else.
        for _ in 0..100 {
            let silent = tokio::time::timeout(std::time::Duration::from_millis(1), names.find("silent.example"));
            assert!(silent.await.is_err());
        }
        assert!(names.find("b.example").await.is_ok());
        assert_eq!((asked.load(Ordering::Relaxed), names.under_way()), (4, 1));
    }
}
