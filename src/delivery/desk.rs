//! Serves the errands of the other edges.

use std::rc::Rc;

use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_local;

use super::Sender;
use crate::courier::Errand;

/// Serves errands, all at once, until told to stop or nobody is left to ask. An asker who has gone gets no answer.
pub(super) async fn serve(sender: Rc<Sender>, mut errands: mpsc::UnboundedReceiver<Errand>, mut stopped: oneshot::Receiver<()>) {
    loop {
        let errand = tokio::select! {
            errand = errands.recv() => errand,
            _ = &mut stopped => None,
        };
        let Some(errand) = errand else { return };
        let sender = Rc::clone(&sender);
        spawn_local(async move {
            match errand {
                Errand::Send(parcel, answer, _place) => drop(answer.send(sender.send(&parcel).await)),
                Errand::Look(url, answer) => drop(answer.send(sender.look(&url).await)),
            }
        });
    }
}
