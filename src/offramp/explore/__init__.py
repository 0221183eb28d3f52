"""The explorer: planning as a conversation, in the browser.

`state` is what is asked, `view` what that comes to, `cloud` and `regions` what surrounds it; `diagram`, `charts` and
`phrases` say how the records of `offramp.view` look on the page. All of these are pure. `page` puts them before people,
with NiceGUI.
"""
