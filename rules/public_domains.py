"""Mail providers that anybody can have an address at: their domain says nothing about the company."""

from __future__ import annotations

from typing import Final

_WORLD = """
gmail.com googlemail.com outlook.com hotmail.com live.com msn.com passport.com windowslive.com yahoo.com ymail.com
rocketmail.com myyahoo.com aol.com aim.com icloud.com me.com mac.com proton.me protonmail.com protonmail.ch pm.me
tutanota.com tutanota.de tutamail.com tuta.io tuta.com keemail.me mail.com email.com usa.com gmx.com gmx.net gmx.us
fastmail.com fastmail.fm hushmail.com zoho.com zohomail.com inbox.com hey.com duck.com mailbox.org posteo.de posteo.net
runbox.com startmail.com disroot.org riseup.net consultant.com engineer.com mailfence.com lavabit.com
privaterelay.appleid.com
"""
_PORTUGUESE = """
uol.com.br bol.com.br terra.com.br terra.com ig.com.br globo.com globomail.com oi.com.br r7.com zipmail.com.br
yahoo.com.br ymail.com.br hotmail.com.br outlook.com.br live.com.br msn.com.br superig.com.br ibest.com.br pop.com.br
veloxmail.com.br click21.com.br brturbo.com.br itelefonica.com.br uai.com.br folha.com.br
sapo.pt mail.pt clix.pt netcabo.pt iol.pt portugalmail.pt portugalmail.com meo.pt vodafone.pt nos.pt hotmail.pt
outlook.pt live.com.pt aeiou.pt kanguru.pt zonmail.pt mail.telepac.pt net.novis.pt
"""
_RUSSIAN = """
mail.ru yandex.ru yandex.com ya.ru yandex.by yandex.kz yandex.ua yandex.com.tr narod.ru bk.ru list.ru inbox.ru
internet.ru xmail.ru rambler.ru lenta.ru autorambler.ru myrambler.ru ro.ru rambler.ua hotbox.ru pochta.ru land.ru
front.ru nm.ru km.ru qip.ru hotmail.ru nextmail.ru mailru.com vk.com sibmail.com e1.ru ngs.ru tut.by mail.by
ukr.net i.ua meta.ua bigmir.net mail.ua email.ua mail.kz
"""
_EUROPE = """
gmx.de gmx.at gmx.ch web.de t-online.de freenet.de arcor.de online.de email.de outlook.de hotmail.de live.de yahoo.de
orange.fr wanadoo.fr free.fr laposte.net sfr.fr neuf.fr bbox.fr numericable.fr hotmail.fr outlook.fr live.fr yahoo.fr
libero.it virgilio.it alice.it tin.it tiscali.it hotmail.it outlook.it yahoo.it live.it fastwebnet.it
hotmail.es outlook.es yahoo.es telefonica.net terra.es ono.com movistar.es
hotmail.co.uk outlook.co.uk live.co.uk yahoo.co.uk btinternet.com sky.com talktalk.net virginmedia.com ntlworld.com
ziggo.nl kpnmail.nl xs4all.nl planet.nl home.nl hetnet.nl live.nl hotmail.nl outlook.be skynet.be telenet.be
wp.pl o2.pl onet.pl onet.eu interia.pl interia.eu op.pl poczta.fm gazeta.pl seznam.cz email.cz centrum.cz post.cz
azet.sk freemail.hu citromail.hu abv.bg mail.bg telia.com hotmail.se live.se spray.se online.no live.no hotmail.no
bluewin.ch sunrise.ch luukku.com walla.co.il walla.com mynet.com inbox.lv inbox.lt
"""
_OTHERS = """
qq.com foxmail.com 163.com 126.com yeah.net sina.com sina.cn sohu.com 139.com 189.cn aliyun.com tom.com naver.com
daum.net hanmail.net nate.com yahoo.co.jp docomo.ne.jp ezweb.ne.jp softbank.ne.jp yahoo.co.in rediffmail.com yahoo.in
hotmail.com.ar yahoo.com.ar outlook.com.ar live.com.ar fibertel.com.ar arnet.com.ar yahoo.com.mx hotmail.com.mx
outlook.com.mx live.com.mx prodigy.net.mx outlook.cl hotmail.cl yahoo.cl yahoo.com.co outlook.com.co une.net.co
yahoo.com.au bigpond.com optusnet.com.au xtra.co.nz mweb.co.za yahoo.ca sympatico.ca rogers.com shaw.ca videotron.ca
comcast.net verizon.net att.net sbcglobal.net bellsouth.net cox.net charter.net earthlink.net juno.com netzero.net
optonline.net frontier.com
"""

PUBLIC_DOMAINS: Final[frozenset[str]] = frozenset(" ".join((_WORLD, _PORTUGUESE, _RUSSIAN, _EUROPE, _OTHERS)).split())
"""Mail domains of providers, lower case. `public_domains:` of the settings adds to them."""
