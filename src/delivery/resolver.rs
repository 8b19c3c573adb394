//! Who says where a name leads.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

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
    pub(super) async fn look_up(&self, name: &str) -> io::Result<Vec<IpAddr>> {
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
