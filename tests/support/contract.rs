//! Contracts: rules that hold on every size. Each target says on what it tries them.
#![allow(unused_macros, unused_imports, reason = "a target may have no contracts")]

/// Names the rules of a contract and makes a macro of its name, which is also that of its module. In a
/// target, `name!(with)` makes a test of each rule; `with` runs one on something new and cleans up.
macro_rules! contract {
    ($contract:ident: $($rule:ident)+) => {
        macro_rules! $contract {
            ($with:path) => {
                $(
                    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                    async fn $rule() {
                        $with(crate::$contract::$rule).await;
                    }
                )+
            };
        }
        pub(crate) use $contract;
    };
}
pub(crate) use contract;
