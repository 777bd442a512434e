//! What policy needs to know about a batch of messages, as the catalog asks the store for it.

use std::sync::Arc;

use super::Catalog;
use crate::domain::Instant;
use crate::store::facts::{Sharing, Surroundings};
use crate::store::gifts::Stock;
use crate::store::messages::Message;
use crate::store::subject::Subject;
use crate::store::{StoreError, Tx};

impl Catalog {
    /// What policy needs to know about a batch of messages at `now`; `stock`, how it looks at gifts.
    pub async fn surroundings(
        &self,
        tx: &mut Tx,
        batch: &[Message],
        now: Instant,
        stock: Stock,
    ) -> Result<Surroundings, StoreError> {
        let sharing = self.sharing(tx, batch).await?;
        self.surroundings_among(tx, batch, now, stock, sharing).await
    }

    /// Who shares an address with a batch's members, as far as policy asks.
    pub async fn sharing(&self, tx: &mut Tx, batch: &[Message]) -> Result<Sharing, StoreError> {
        Sharing::load(tx, &self.subjects(batch), self.brand.frequency_cap.is_some()).await
    }

    /// [`Catalog::surroundings`] where it is known who shares an address.
    pub async fn surroundings_among(
        &self,
        tx: &mut Tx,
        batch: &[Message],
        now: Instant,
        stock: Stock,
        sharing: Sharing,
    ) -> Result<Surroundings, StoreError> {
        let subjects = self.subjects(batch);
        let counts = |name: &str| self.counts_for_cap(name);
        let counted_after = self.brand.frequency_cap.map(|cap| now - cap.per);
        let mut around = Surroundings::load(tx, &subjects, &counts, counted_after, stock, sharing).await?;
        around.audiences.watched = Arc::clone(&self.watched);
        Ok(around)
    }

    fn subjects<'a>(&'a self, batch: &'a [Message]) -> Vec<Subject<'a>> {
        let subject = |message: &'a Message| {
            let campaign = self.campaigns.get(&message.campaign)?;
            let (member_id, purchase_id) = (message.member_id, message.purchase_id);
            Some(Subject { campaign, member_id, purchase_id, step: &message.step })
        };
        batch.iter().filter_map(subject).collect()
    }
}
