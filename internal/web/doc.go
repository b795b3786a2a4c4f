// Package web is `lab ui`: the records of a store as pages in the browser, live while something is measured.
//
// It only reads. A page is rendered on the server and works without scripts; a script renews it in place and keeps the
// state in the address. What a measuring lab does right now it says itself (store.Announcer), what it has recorded is read
// from the run's file (store.Since), so neither ever waits for a page.
package web
