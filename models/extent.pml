/* EXTENT: extents are truth, the bitmap is a cache (2.4), reserved pages are one bit per block (3.4). Makers create, write, check and drop nameless tensors over NB blocks, a trimmer punches a free run, a thread of maker P forks, anybody is killed before any store, AL's next owner rebuilds block by block.
   run: python3 models/run.py extent        (errors: 0)
   Shown, each time AL is taken and not DIRTY: I1 FREE => no extent; I2 extents disjoint; I3 bitmap == union of the extents. Bytes of a living maker are never given to another; a child's bit keeps its descriptor; what is written has its pages; at the end everything is FREE, nothing leaked.
   The look of free() with its veto is shown in compose.pml; here "no row bit" and FREEING are one step.
   -DKM=mask -DMAXK=n who may be killed (1 P, 2 B, 4 T the trimmer, 8 Q the child), -DFORK, -DTRIM, -DN0=blocks, -DN1=blocks, -DR0=rounds
   MUT 1 rebuild takes the bitmap from the named and BARE ones only    2 DIRTY cleared before the rebuild    3 free: bitmap before ext=0 (harmless: repaired)    4 free: FREE before ext=0    5 rebuild forgets FREEING    6 create: bitmap before ext (harmless: repaired)
       7 create: ext after AL's release    8 create: st not read again under AL    9 reap: a dead maker's ALLOC straight to FREE (-DFORK)    10 free: ext read before AL is taken    11 RES=1 before fallocate    12 punch before RES=0    13 a dead owner's AL taken over without DIRTY    14 trim: ALLOC straight to FREE (-DFORK)    15 row bit after st=ALLOC
       16 free without a look at the rows */
#ifndef MUT
#define MUT 0
#endif
#ifndef MAXK
#define MAXK 1
#endif
#ifndef KM
#define KM 0
#endif
#ifndef N0
#define N0 1
#endif
#ifndef N1
#define N1 1
#endif
#ifndef R0
#define R0 1
#endif
#ifndef NB
#define NB 2
#endif
#define ND 2
#define P 0
#define B 1
#define T 2
#define Q 3
#define R 4
#define NM 5
#define FREE 0
#define ALLOC 1
#define BARE 2
#define DYING 3
#define FREEING 4
#define BIT(p) (1<<(p))
#define HAS(m,p) (((m)>>(p))&1)
byte st[ND], own[ND], ext[ND], row[NM], data[NB], bm, res, pages, AL, kills, nfin, np; bool dirty, tok[NM], used[NM], kept[ND];        /* kept: ghost, the living child has a copy of the bit of an ALLOC or BARE tensor */
#define K(x) if :: x :: d_step{ kills<MAXK && HAS(KM,me) -> kills++; tok[me]=0; nfin++; if :: me==Q -> kept[0]=0; kept[1]=0 :: else -> skip fi }; goto dying fi
#define ENDS(d) (st[d]==BARE || st[d]==DYING)
#define HELD(d) (((row[0]|row[1]|row[2]|row[3])>>(d))&1)
#define UNION ((st[0]!=FREE -> ext[0] : 0)|(st[1]!=FREE -> ext[1] : 0))
inline rebuild(){
  if :: dirty ->
#if MUT==2
     K(dirty=0);
#endif
     q=0; do :: q<ND ->
#if MUT!=5
        if :: st[q]==FREEING -> K(ext[q]=0); K(st[q]=FREE) :: else -> skip fi;
#endif
        q++ :: else -> break od; q=0;
     do :: q<NB ->                                                            /* the bitmap, a word at a time */
#if MUT==1
        if :: (ENDS(0) && HAS(ext[0],q)) || (ENDS(1) && HAS(ext[1],q)) -> K(bm=bm|BIT(q)) :: else -> K(bm=bm&(255-BIT(q))) fi;
#else
        if :: HAS(UNION,q) -> K(bm=bm|BIT(q)) :: else -> K(bm=bm&(255-BIT(q))) fi;
#endif
        q++ :: else -> break od; q=0;
#if MUT!=2
     K(dirty=0)
#endif
     :: else -> skip fi }
inline lock(){
  do :: K(d_step{ AL==0 -> AL=me+1; if :: !dirty -> assert(bm==UNION); assert(!(ext[0]&ext[1])); assert(st[0]!=FREE||ext[0]==0); assert(st[1]!=FREE||ext[1]==0) :: else -> skip fi }); break
     :: d_step{ AL!=0 && !tok[AL-1] -> AL=0;
#if MUT!=13
        dirty=1
#endif
     } od; rebuild() }
inline unlock(){ K(AL=0) }
inline off(y){ q=0; do :: q<NB -> if :: HAS(y,q) -> K(bm=bm&(255-BIT(q))) :: else -> skip fi; q++ :: else -> break od; q=0 }
/* under AL */
inline free_(d){
#if MUT==16
  if :: ENDS(d) -> K(st[d]=FREEING);
#else
  if :: ENDS(d) && !HELD(d) -> K(d_step{ if :: !HELD(d) -> st[d]=FREEING :: else -> skip fi });
#endif
        if :: st[d]==FREEING ->
#if MUT!=10
              x=ext[d];
#endif
#if MUT==3
              off(x); K(ext[d]=0); K(st[d]=FREE)
#elif MUT==4
              K(st[d]=FREE); K(ext[d]=0); off(x)
#else
              K(ext[d]=0); off(x); K(d_step{ assert(!kept[d]); st[d]=FREE })
#endif
           :: else -> skip fi; x=0
     :: else -> skip fi }
inline ended(d){
#if MUT==10
  if :: ENDS(d) -> x=ext[d]; lock(); free_(d); unlock() :: else -> skip fi
#else
  if :: ENDS(d) -> lock(); free_(d); unlock() :: else -> skip fi
#endif
  }
inline setbit(d){ K(row[me]=row[me]|BIT(d)) }
inline clrbit(d){ K(row[me]=row[me]&(255-BIT(d))) }
/* a run of n free blocks in x, under AL */
inline run_(n){ d_step{ x=(1<<n)-1; do :: x<(1<<NB) && (bm&x) -> x=x<<1 :: else -> break od; if :: x>=(1<<NB) -> x=0 :: else -> skip fi } }
inline take(n){                                                               /* d becomes ALLOC(me) with n blocks, or v=0 */
  if :: st[0]==FREE -> d=0 :: st[1]==FREE -> d=1 :: else -> goto none fi;
#if MUT!=15
  setbit(d);
#endif
  lock();
  v=1;
#if MUT!=8
  if :: st[d]!=FREE -> v=0 :: else -> skip fi;
#endif
  run_(n);
  if :: v && x ->
     K(d_step{ st[d]=ALLOC; own[d]=me });
#if MUT==15
     setbit(d);
#endif
#if MUT==7
     unlock(); K(ext[d]=x); lock();
#elif MUT!=6
     K(ext[d]=x);
#endif
     q=0; do :: q<NB -> if :: HAS(x,q) -> K(bm=bm|BIT(q)) :: else -> skip fi; q++ :: else -> break od; q=0;
#if MUT==6
     K(ext[d]=x);
#endif
     unlock()
     :: else -> v=0; unlock(); x=0; clrbit(d); ended(d) fi }
#define VARS byte d,q,v,x,n,w
#define END dying: skip; d_step{ d=0;q=0;v=0;x=0;n=0;w=0 }
proctype Maker(byte me; byte blocks; byte rounds){ VARS;
  do :: w<rounds -> w++; take(blocks);
     if :: v ->
        if :: (res&x)!=x ->
#if MUT==11
              K(res=res|x); K(pages=pages|x)
#else
              K(pages=pages|x); K(res=res|x)
#endif
           :: else -> skip fi;
        d_step{ q=0; do :: q<NB -> if :: HAS(x,q) -> assert(HAS(pages,q)); data[q]=me+1 :: else -> skip fi; q++ :: else -> break od; q=0 };
        if :: lock(); K(st[d]=BARE); unlock()                                 /* handed to the user */
           :: lock(); K(st[d]=DYING); unlock()                                /* or given up: no room, name taken */
        fi;
        d_step{ q=0; do :: q<NB -> if :: HAS(x,q) -> assert(HAS(pages,q) && data[q]==me+1) :: else -> skip fi; q++ :: else -> break od; q=0; x=0 };
        clrbit(d); ended(d)
        :: else -> skip fi
     :: else -> break od;
none: skip; nfin++;
END }
proctype Trimmer(byte me){ VARS; take(1);
  if :: v ->
#if MUT==12
     K(pages=pages&(255-x)); K(res=res&(255-x));
#else
     K(res=res&(255-x)); K(pages=pages&(255-x));
#endif
     n=x; x=0; lock();
#if MUT==14
     K(ext[d]=0); x=n; off(x); K(d_step{ assert(!kept[d]); st[d]=FREE }); x=0; unlock(); clrbit(d)
#else
     K(st[d]=DYING); unlock(); clrbit(d); ended(d)
#endif
     :: else -> skip fi;
none: skip; nfin++;
END }
/* another thread of P or T forks: the child has a copy of the row, and exits */
proctype Fork(byte me; byte src){ VARS;
  if :: d_step{ tok[src] -> tok[me]=1; used[me]=1; row[me]=row[src]; kept[0]=(HAS(row[me],0)&&(ENDS(0)||(st[0]==ALLOC&&own[0]==src))); kept[1]=(HAS(row[me],1)&&(ENDS(1)||(st[1]==ALLOC&&own[1]==src))) } :: d_step{ !tok[src] || nfin>0 }; goto none fi;
  if :: HAS(row[me],0) -> kept[0]=0; clrbit(0); ended(0) :: else -> skip fi;
  if :: HAS(row[me],1) -> kept[1]=0; clrbit(1); ended(1) :: else -> skip fi;
none: skip; nfin++;
END }
#define REAPABLE(x) (used[x] && !tok[x])
inline reapd(y,d){ if :: HAS(row[y],d) ->
     if :: st[d]==ALLOC && own[d]==y -> lock();
#if MUT==9
        K(ext[d]=0); K(d_step{ assert(!kept[d]); st[d]=FREE }); K(dirty=1);
#else
        K(st[d]=DYING);
#endif
        unlock() :: else -> skip fi;
     K(row[y]=row[y]&(255-BIT(d))) :: else -> skip fi }
proctype Reaper(byte me){ VARS;
  do :: d_step{ (REAPABLE(0)||REAPABLE(1)||REAPABLE(2)||REAPABLE(3)) -> n=0; do :: REAPABLE(n) -> break :: else -> n++ od };
        d_step{ if :: AL==n+1 -> AL=0;
#if MUT!=13
           dirty=1
#endif
           :: else -> skip fi };
        reapd(n,0); reapd(n,1);
        lock(); free_(0); free_(1); unlock(); used[n]=0; n=0
     :: nfin==np && !(REAPABLE(0)||REAPABLE(1)||REAPABLE(2)||REAPABLE(3)) -> break od;
  lock(); unlock();
  d_step{ assert(st[0]==FREE && st[1]==FREE && ext[0]==0 && ext[1]==0 && bm==0 && row[0]==0 && row[1]==0 && row[2]==0 && row[3]==0); assert((res&pages)==res) };
END }
init { d_step{ tok[P]=1; used[P]=1; tok[B]=1; used[B]=1; tok[R]=1; np=2; pages=1; res=1;
#ifdef TRIM
  tok[T]=1; used[T]=1; np++;
#endif
#ifdef FORK
  np++;
#endif
  };
  atomic{ run Maker(P,N0,R0); run Maker(B,N1,1);
#ifdef TRIM
  run Trimmer(T);
#endif
#ifdef FORK
  run Fork(Q,FORK);
#endif
  run Reaper(R) } }
