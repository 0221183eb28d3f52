"""The explorer: planning as a conversation, in the browser.

`state` is what is asked, `view` what that comes to, `systems` and `regions` what takes longer; `diagram` and `charts`
say how it looks. All of these are pure. `page` puts them before people, with NiceGUI.
"""
